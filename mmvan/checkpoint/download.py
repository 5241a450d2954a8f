"""Fetch checkpoints into PyTorch's cache, whole and verified."""

import re
from contextlib import suppress
from glob import escape
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlparse

import torch
from filelock import FileLock
from mmengine.logging import print_log

from mmvan.checkpoint.outline import find_fault
from mmvan.errors import CheckpointError

# OpenMMLab's and PyTorch's convention: the first digits of the SHA-256 end the name.
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")
# mmdetection's and mmsegmentation's first files end in the day on which they were published.
_DAY = re.compile(r"20[0-4]\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


def fetch(address: str) -> Path:
    """Fetch a file into the cache, ``checkpoints`` in ``torch.hub.get_dir()``.

    What is there already is taken if it is whole. Several processes may ask at the same time: one
    fetches, the others wait for it.

    Args:
        address: ``https://`` or ``http://``.

    Returns:
        Path: The file in the cache.

    Raises:
        CheckpointError: It cannot be fetched, is not a checkpoint, or its SHA-256 is not the one
            in its name. Nothing is left in the cache then.
    """
    directory = Path(torch.hub.get_dir(), "checkpoints")
    file = directory / Path(unquote(urlparse(address).path)).name
    # Before anything is written: the cache may be read-only, and what has its name there is whole.
    if file.is_file() and _fault(file) is None:
        return file
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):
            fault = _fault(file) if file.is_file() else ""
            if fault:
                print_log(f"{file} is fetched again: {fault}", logger="current")
            if fault is not None:
                _download(address, file)
    except OSError as error:
        raise CheckpointError(f"{address} cannot be kept in {directory}: {error}") from error
    return file


def _download(address: str, file: Path) -> None:
    part = file.with_name(f"{file.name}.part")
    try:
        torch.hub.download_url_to_file(address, str(part))
        fault = _fault(part, name=file.name)
        if fault:
            raise CheckpointError(f"{address} was fetched, but {fault}; nothing was kept")
        part.replace(file)
    except (URLError, OSError) as error:
        raise CheckpointError(
            f"{address} cannot be fetched: {error}. On a machine without access, put the file "
            f"at {file}, or name a local file"
        ) from error
    finally:
        # Also what a run that was killed left: nobody else writes while the lock is held.
        for rest in file.parent.glob(f"{escape(part.name)}*"):
            with suppress(FileNotFoundError):
                rest.unlink()


def _fault(file: Path, name: str = "") -> str | None:
    return find_fault(file) or wrong_hash(file, name or file.name)


def wrong_hash(file: Path, name: str) -> str | None:
    """Compare a file with the hash in its name.

    Args:
        file: The file.
        name: Its published name.

    Returns:
        str | None: What is wrong; None if the hash is right or the name has none. Eight digits that
        are a day are none.
    """
    stated = _HASH.search(name)
    if stated is None or _DAY.fullmatch(stated[1]):
        return None
    digest = sha256_of(file)
    if digest.startswith(stated[1]):
        return None
    return f"its SHA-256 begins with {digest[: len(stated[1])]}, its name says {stated[1]}"


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
