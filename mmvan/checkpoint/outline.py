"""Whether a file is a checkpoint, told from its content before any long work."""

import json
import pickle
import re
import struct
import zipfile
from pathlib import Path

from mmvan.checkpoint.trust import pickles_are_trusted
from mmvan.errors import CheckpointError, did_you_mean

_SCHEME = re.compile(r"([\w-]+)(:\w+)?://")
# MMEngine looks these names up in its own lists, and unpickles what it fetches without a check.
_UNCHECKED = ("modelzoo", "torchvision", "open-mmlab", "openmmlab", "mmcls", "pavi")
# torch.save before PyTorch 1.6 begins with this number as a pickle (torch.serialization).
_LEGACY_START = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_SAFETENSORS_HEADER_LIMIT = 100_000_000  # bytes; the limit of the safetensors library itself.


def check_checkpoint(path: str, option: str) -> None:
    """Check that a local file can be a checkpoint: a PyTorch archive or a safetensors file.

    Only the outline is read, whatever the size, and nothing is unpickled. The files of PyTorch
    before 1.6 have no index, so that a truncated one of those is found only when it is loaded.

    Args:
        path: A file, or an address with a scheme such as ``https://``, which is left to its loader.
        option: The option or key that named it, for the message.

    Raises:
        CheckpointError: The file is missing, empty, truncated or something else, or the address is
            one that MMEngine reads without a check.
    """
    scheme = _SCHEME.match(path)
    if scheme:
        if scheme[1] in _UNCHECKED and not pickles_are_trusted():
            raise CheckpointError(
                f"{option} {path}: what {scheme[1]}:// names is read by MMEngine without a safety "
                "check. Give the https:// address of the file, or --unsafe if you trust it"
            )
        return
    file = Path(path).expanduser()
    if not file.is_file():
        raise CheckpointError(f"{option} {path}: {_what_is_there(file)}")
    fault = find_fault(file)
    if fault:
        raise CheckpointError(
            f"{option} {path} is not a checkpoint: {fault}. Expected a file written by torch.save "
            "or safetensors; download or copy it again."
        )


def _what_is_there(file: Path) -> str:
    if file.is_dir():
        return f"is a directory; it holds {_listing(file)}"
    if not file.parent.is_dir():
        return f"no such file, and no directory {file.parent}"
    names = [f.name for f in file.parent.iterdir()]
    return f"no such file; {file.parent} holds {_listing(file.parent)}." + did_you_mean(
        file.name, names
    )


def _listing(folder: Path) -> str:
    names = sorted(f.name for f in folder.glob("*.pth")) or ["no *.pth file"]
    return ", ".join(names[:10])


def is_safetensors(file: Path) -> bool:
    """Whether a file has the format of safetensors, whatever its name is."""
    with file.open("rb") as stream:
        head = stream.read(9)
    return head[8:] == b"{" and not head.startswith((b"PK\x03\x04", _LEGACY_START))


def find_fault(file: Path) -> str | None:
    """What is wrong with the outline of a file; None if it can be a checkpoint."""
    with file.open("rb") as stream:
        head = stream.read(512)
    if not head:
        return "it is empty"
    if head.startswith(b"PK\x03\x04"):
        return _zip_fault(file)
    if head.startswith(_LEGACY_START):
        return None
    if is_safetensors(file):
        return _safetensors_fault(file)
    if head.startswith(b"version https://git-lfs"):
        return "it is the pointer of a Git LFS file (`git lfs pull` fetches the file itself)"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "it is an HTML page, as servers send in place of a missing file"
    return f"it begins with {head[:24]!r}"


def _zip_fault(file: Path) -> str | None:
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile:
        return f"it is a torch archive cut off after {size} bytes"
    names = [entry.filename for entry in entries]
    if not any(name.endswith("data.pkl") for name in names):
        return f"it is a zip archive without PyTorch's data.pkl; it holds {', '.join(names[:3])}"
    if any(name.endswith("/constants.pkl") for name in names):
        return "it is a TorchScript archive, which is a program; save its state_dict() instead"
    # torch.save stores without compression: a file that unpacks to more is not one of its own.
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size:
        return f"it unpacks to {unpacked} bytes and has {size} itself"
    return None


def _safetensors_fault(file: Path) -> str | None:
    size = file.stat().st_size
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > min(size - 8, _SAFETENSORS_HEADER_LIMIT):
            return f"its safetensors header should have {length} bytes, the file has {size}"
        try:
            header = json.loads(stream.read(length))
            entries = [entry for name, entry in header.items() if name != "__metadata__"]
            ends = [int(entry["data_offsets"][1]) for entry in entries]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "its safetensors header is not JSON of the expected form"
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        return f"it should have {expected} bytes by its safetensors header and has {size}"
    return None
