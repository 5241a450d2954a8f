"""Files that appear whole or not at all: the storage that checkpoints are written to.

A process can be killed and a machine can lose power at any moment. What is written goes into a
temporary file in the same folder, to the disk, and then gets its name; the folder's entry goes to
the disk last. So a name always belongs to a whole file, the old one or the new one.
"""

import os
import re
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend

BACKEND = "mmvan.AtomicLocalBackend"
_PART = re.compile(r"\.(?P<name>.+)\.(?P<host>[^.]*)\.(?P<pid>\d+)\.part")


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that its name never belongs to a part of it.

    Args:
        file: Its name; a file that is there is replaced.
        content: All of it.

    Raises:
        OSError: The disk is full or cannot be written to; the old file is still there then.
    """
    part = file.with_name(f".{file.name}.{_host()}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_folder(file.parent)


def remove_orphans(folder: Path) -> list[str]:
    """Remove the temporary files of processes that were killed while they wrote.

    Args:
        folder: Where they may be. Those of a process that lives are left, and so are those of other
            machines, about whose processes nothing is known here.

    Returns:
        list[str]: The names of what would have become files.
    """
    removed = []
    for part in folder.glob(".*.part"):
        match = _PART.fullmatch(part.name)
        if match and match["host"] == _host() and not _is_alive(int(match["pid"])):
            part.unlink(missing_ok=True)
            removed.append(match["name"])
    return sorted(removed)


def archive_fault(file: Path) -> str | None:
    """Compare every part of a file of ``torch.save`` with the checksum that is stored beside it.

    Args:
        file: A zip archive, in which PyTorch stores a CRC-32 for each tensor.

    Returns:
        str | None: What is wrong; None if all checksums hold.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError) as error:
        return f"{type(error).__name__}: {error}"
    return f"the checksum of {damaged} in it does not hold" if damaged else None


class AtomicLocalBackend(LocalBackend):
    """MMEngine's storage on the local disk, with files that appear whole or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self._deferred: list[str] | None = None

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write bytes, see :func:`write_atomically`."""
        file = Path(filepath)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, bytes(obj))

    def remove(self, filepath: str | Path) -> None:
        """Remove a file, or in :meth:`removing_last` remember to."""
        if self._deferred is None:
            super().remove(filepath)
        else:
            self._deferred.append(str(filepath))

    @property
    def is_removing_last(self) -> bool:
        """Whether :meth:`removing_last` is under way."""
        return self._deferred is not None

    @property
    def to_be_removed(self) -> list[str]:
        """The names of the files that :meth:`removing_last` is going to remove."""
        return [Path(file).name for file in self._deferred or ()]

    @contextmanager
    def removing_last(self) -> Iterator[None]:
        """Remove what is to be removed in the context when it ended well, and else nothing."""
        self._deferred = []
        try:
            yield
            files = self._deferred
        finally:
            self._deferred = None
        for file in files:
            Path(file).unlink(missing_ok=True)


register_backend(BACKEND, AtomicLocalBackend, force=True)


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    handle: Any = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
