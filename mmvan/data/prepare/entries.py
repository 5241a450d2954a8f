"""The files of folders and archives, in one form; nothing is unpacked to find them."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mmvan.data.check.sources import list_files, neighbours
from mmvan.errors import DataError

__all__ = ["Entry", "check_name", "damage_explained", "is_archive", "unpacked_bytes", "walk"]

_ZIP_ENDINGS = (".zip",)
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# What the readers of archives raise for damaged content.
_DAMAGE = (
    EOFError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Entry:
    """A file in a folder or in an archive.

    Args:
        name: Its path from the top of its source, with forward slashes. What lies in an archive
            inside the source comes under the archive's name without its ending.
        size: In bytes.
        origin: The folder or archive that holds it, for messages.
        open: Opens it for reading; only until the next entry is asked for.
        path: Where it is, if it is a file on a disk.
    """

    name: str
    size: int
    origin: str
    open: Callable[[], IO[bytes]]
    path: Path | None = None

    def read(self) -> bytes:
        """The content.

        Raises:
            DataError: The archive is damaged here.
        """
        with damage_explained(self.origin), self.open() as file:
            return file.read()


def is_archive(name: str) -> bool:
    """Whether a file is an archive, by its name."""
    return name.lower().endswith(_ZIP_ENDINGS + _TAR_ENDINGS)


def check_name(name: str, origin: str) -> None:
    """Refuses a name that leads out of the folder that it is meant for.

    Args:
        name: A relative path with forward slashes.
        origin: What holds it, for the message.

    Raises:
        DataError: It is absolute, goes up, or has a character that ends or parts names.
    """
    path = PurePosixPath(name)
    absolute = path.is_absolute() or Path(name).is_absolute()
    if absolute or ".." in path.parts or set(name) & set("\\\0"):
        raise DataError(
            f"{origin}: the name {name!r} is not safe to write. Expected a relative path without "
            "'..' or backslashes. If this is a published file, it was changed: get it again."
        )


def walk(source: Path) -> Iterator[Entry]:
    """Goes through the files of a folder or an archive, archives inside them included.

    Args:
        source: A folder, or a zip or tar file, compressed or not.

    Yields:
        Each file, with what lies in archives in the order of the archive.

    Raises:
        DataError: The source is not there or of another kind, or an archive is damaged, encrypted
            or holds links or names that lead out of it.
    """
    if source.is_dir():
        for name in sorted(list_files(str(source))):
            yield from _on_disk(source / name, name, source)
    elif not source.exists():
        raise DataError(f"--source {source}: no such file or folder; {neighbours(str(source))}")
    elif is_archive(source.name):
        yield from _archive(source.name, str(source), lambda: source.open("rb"))
    else:
        endings = ", ".join(_ZIP_ENDINGS + _TAR_ENDINGS)
        raise DataError(f"--source {source}: neither a folder nor an archive ({endings})")


def unpacked_bytes(source: Path) -> int:
    """How much the archives of a source hold: exact for zip and tar, else no less than they are."""
    if source.is_dir():
        files = (source / name for name in list_files(str(source)) if is_archive(name))
        return sum(map(unpacked_bytes, files))
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            return sum(member.file_size for member in archive.infolist())
    return source.stat().st_size if source.is_file() else 0


def _on_disk(path: Path, name: str, source: Path) -> Iterator[Entry]:
    if is_archive(name):
        folder = str(PurePosixPath(name).parent)
        for entry in _archive(path.name, str(path), lambda: path.open("rb")):
            yield _moved(entry, folder)
    else:
        yield Entry(name, path.stat().st_size, str(source), lambda: path.open("rb"), path)


def _moved(entry: Entry, folder: str) -> Entry:
    name = str(PurePosixPath(folder, entry.name))
    return Entry(name, entry.size, entry.origin, entry.open, entry.path)


@contextmanager
def damage_explained(origin: str) -> Iterator[None]:
    """Turns what the readers of archives raise into an error that says what to do.

    Args:
        origin: The archive.

    Raises:
        DataError: What is read inside is damaged.
    """
    try:
        yield
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{origin}: the archive is damaged ({reason}). Its download was "
            "probably cut short: compare its size and checksum with the publisher's, and get it "
            "again. What was unpacked so far is kept."
        ) from error


def _archive(name: str, origin: str, opener: Callable[[], IO[bytes]]) -> Iterator[Entry]:
    """Yields the files of one archive, under the archive's name without its ending."""
    members = _zip_members if name.lower().endswith(_ZIP_ENDINGS) else _tar_members
    with damage_explained(origin), opener() as file:
        for entry in members(file, origin):
            check_name(entry.name, origin)
            parent, _, base = entry.name.rpartition("/")
            # macOS adds hidden files, and a folder of them, to the archives that it makes.
            if base.startswith("."):
                continue
            if is_archive(base):
                for inner in _archive(base, f"{origin}/{entry.name}", entry.open):
                    yield _moved(inner, str(PurePosixPath(_stem(name), parent)))
            else:
                yield _moved(entry, _stem(name))


def _stem(name: str) -> str:
    ending = next(e for e in _ZIP_ENDINGS + _TAR_ENDINGS if name.lower().endswith(e))
    return name[: -len(ending)]


def _tar_members(file: IO[bytes], origin: str) -> Iterator[Entry]:
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            if member.isdir():
                continue
            try:
                tarfile.data_filter(member, tempfile.gettempdir())
            except tarfile.FilterError as error:
                raise DataError(f"{origin}: not safe to unpack: {error}. Get it again.") from error
            if not member.isreg():
                raise _no_file(member.name, origin)
            yield Entry(member.name, member.size, origin, _tar_opener(archive, member))


def _tar_opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opener() -> IO[bytes]:
        file = archive.extractfile(member)
        assert file is not None  # Of regular files it never is.
        return file

    return opener


def _zip_members(file: IO[bytes], origin: str) -> Iterator[Entry]:
    # A zip inside a zip is copied out of it: going back in a compressed file starts it anew.
    with tempfile.TemporaryFile() as copy:
        if isinstance(file, zipfile.ZipExtFile):
            shutil.copyfileobj(file, copy)
        with zipfile.ZipFile(copy if copy.tell() else file) as archive:
            for member in sorted(archive.infolist(), key=lambda info: info.header_offset):
                if member.is_dir():
                    continue
                if member.flag_bits & 1:
                    raise DataError(f"{origin}: {member.filename} is encrypted; decrypt it first.")
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise _no_file(member.filename, origin)
                yield Entry(member.filename, member.file_size, origin, _opener(archive, member))


def _opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(member)


def _no_file(name: str, origin: str) -> DataError:
    return DataError(
        f"{origin}: {name} is a link or a device. Expected files and folders only; if this is "
        "a published file, get the archive again."
    )
