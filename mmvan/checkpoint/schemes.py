"""Addresses of checkpoints: local files, ``https://`` and ``hf://``.

MMEngine takes its loader from a table by the beginning of an address. Importing mmvan adds an entry
for the Hugging Face Hub. MMEngine's own entries for files and the web, some of which unpickle
whatever they are given, are replaced only where :func:`use_safe_loaders` is called, as mmvan's
command lines do, or :mod:`mmvan.checkpoint.safe` is imported.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from mmvan.checkpoint.download import fetch, sha256_of
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.errors import CheckpointError

_HUB = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?", re.ASCII
)
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def add_hub_scheme() -> None:
    """Let MMEngine read ``hf://`` addresses, unless somebody else has taught it already."""
    with suppress(KeyError):
        CheckpointLoader.register_scheme("hf://", load_from_hf)


def use_safe_loaders() -> None:
    """Make MMEngine read every checkpoint of this process through mmvan's safe reader.

    ``init_cfg``, ``load_from``, ``resume`` and the libraries' inferencers then refuse files that
    could execute code, and verify hashes in the names of what they download. Calling it again
    changes nothing.
    """
    loaders = {
        "": load_from_local,
        "http://": load_from_http,
        "https://": load_from_http,
        "hf://": load_from_hf,
    }
    for prefix, loader in loaders.items():
        CheckpointLoader.register_scheme(prefix, loader, force=True)


def read_address(address: str, map_location: Any = "cpu") -> dict[str, Any]:
    """Read the checkpoint at an address, see :func:`locate` and ``read_checkpoint``."""
    return read_checkpoint(locate(address), map_location)


def locate(address: str) -> Path:
    """The local file of an address, fetched if need be.

    Args:
        address: A path, ``https://...``, or ``hf://owner/name[@revision][/file]``; without a file
            ``model.safetensors``, else ``pytorch_model.bin``.

    Raises:
        CheckpointError: It cannot be fetched or is damaged.
    """
    if address.startswith(("http://", "https://")):
        return fetch(address)
    return _from_hub(address) if address.startswith("hf://") else Path(address).expanduser()


# MMEngine logs what comes after `load_from_` in the names of these.
def load_from_local(filename: str, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a local file; arguments, result and errors as ``read_checkpoint``."""
    return read_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a file on the web through the cache; see :func:`mmvan.checkpoint.download.fetch`."""
    return read_address(filename, map_location)


def load_from_hf(filename: str, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a file of the Hugging Face Hub; see :func:`locate`."""
    return read_address(filename, map_location)


def _from_hub(address: str) -> Path:
    match = _HUB.fullmatch(address)
    if match is None:
        raise CheckpointError(
            f"{address!r} is not an address of the form hf://owner/name[@revision][/file]"
        )
    names = (match["file"],) if match["file"] else _HUB_FILES
    for name in names:
        file = _download(match["repo"], name, match["revision"])
        if file is not None:
            return _verified(address, file)
    raise CheckpointError(f"{address}: {match['repo']} has no file {' or '.join(names)}")


def _download(repo: str, name: str, revision: str | None) -> Path | None:
    """A file of a repository in the cache; None if the repository has no such file."""
    # Imported here: it takes a third of a second, and few runs need it.
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, name, revision=revision))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(f"hf://{repo}/{name} cannot be fetched: {error}") from error
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"hf://{repo}/{name} cannot be fetched: {reason}") from error


def _verified(address: str, file: Path) -> Path:
    """Large files are stored under their SHA-256; the cache is not ours to change."""
    stored = file.resolve()
    if _SHA256.fullmatch(stored.name) and sha256_of(stored) != stored.name:
        raise CheckpointError(
            f"{address}: the file in the cache is damaged. Remove {stored} and load it again"
        )
    return file
