"""Brings files to their places: linked, copied, moved or unpacked, and never over another file."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from mmvan.data.check.problems import Problem
from mmvan.data.check.sources import list_files
from mmvan.data.prepare.entries import (
    Entry,
    check_name,
    damage_explained,
    unpacked_bytes,
    walk,
)
from mmvan.errors import DataError

__all__ = ["LINKS", "Destination", "Place", "Placed", "Rule", "by_rules", "place"]

LINKS = ("symlink", "copy", "move")
# Left free on the disk: logs and checkpoints are to be written, too.
_RESERVE = 2**30
_UNFINISHED = ".{}.unfinished"


@dataclass(frozen=True)
class Place:
    """Where a file belongs.

    Args:
        path: Relative to the target, with forward slashes.
        convert: What makes the file there from the one that was given; None if they are the same.
    """

    path: str
    convert: Callable[[bytes], bytes] | None = None


Destination = Callable[[str], Place | None]


@dataclass(frozen=True)
class Rule:
    r"""A rule for the names of entries.

    Args:
        pattern: A regular expression that matches the end of a name, from the start of a component.
        path: The place, with the groups of the pattern as ``\1``.
        convert: As in :class:`Place`.
    """

    pattern: str
    path: str
    convert: Callable[[bytes], bytes] | None = None


@dataclass
class Placed:
    """What became of the files that were given.

    Args:
        new: How many were brought to their places.
        kept: How many were there already.
        others: How many belong to no place.
        conflicts: Those in whose places other files are, each described.
    """

    new: int = 0
    kept: int = 0
    others: int = 0
    conflicts: list[str] = field(default_factory=list)

    def problems(self, target: Path) -> list[Problem]:
        """The conflicts as a problem."""
        if not self.conflicts:
            return []
        found = f"{len(self.conflicts)} files are in the way"
        fix = "remove the files that are not wanted, or choose another --target; nothing was lost"
        expected = "no file, or the same one, in the place of each file of --source"
        return [Problem("--target", str(target), found, expected, fix, items=tuple(self.conflicts))]


def by_rules(rules: Iterable[Rule]) -> Destination:
    """The destination by the first rule whose pattern matches the end of a name."""
    compiled = [(re.compile(rf"(?:^|.*/){rule.pattern}$"), rule) for rule in rules]

    def destination(name: str) -> Place | None:
        for pattern, rule in compiled:
            match = pattern.match(name)
            if match:
                return Place(match.expand(rule.path), rule.convert)
        return None

    return destination


def place(sources: Sequence[Path], destination: Destination, target: Path, link: str) -> Placed:
    """Brings the files of folders and archives to their places.

    Each file appears under its name only when it is whole, and what is there already is kept, so
    that a run that was interrupted can be repeated. Archives are never changed.

    Args:
        sources: Folders and archives.
        destination: Decides from an entry's name where it belongs.
        target: Where the dataset is to be; made if it is missing.
        link: What to do with files on a disk: one of ``LINKS``.

    Returns:
        What was done.

    Raises:
        DataError: A source cannot be read, or the disk has not enough space.
    """
    _check_space(sources, target, link)
    placed = Placed()
    with Progress(transient=True) as progress:
        for source in sources:
            task = progress.add_task(str(source), total=None)
            for entry in walk(source):
                chosen = destination(entry.name)
                if chosen is None:
                    placed.others += 1
                else:
                    _bring(entry, chosen, target, link, placed)
                done = placed.new + placed.kept
                progress.update(task, advance=1, description=f"{source}: {done} files")
    return placed


def _bring(entry: Entry, chosen: Place, target: Path, link: str, placed: Placed) -> None:
    check_name(chosen.path, entry.origin)
    path = target / chosen.path
    if os.path.lexists(path):
        if _same(entry, chosen, path):
            placed.kept += 1
        else:
            where = f"{chosen.path} is not {entry.name} of {entry.origin}"
            placed.conflicts.append(f"{where} ({_size(path)} and {entry.size} bytes)")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with damage_explained(entry.origin):
            _write(entry, chosen, path, link)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"{path} cannot be written: {error.strerror}. Free some space and run the command "
            "again: it goes on where it stopped."
        ) from error
    placed.new += 1


def _same(entry: Entry, chosen: Place, path: Path) -> bool:
    """Whether the file that is there is the one that is given, as far as its size tells."""
    if not path.exists():
        return False
    return chosen.convert is not None or path.stat().st_size == entry.size


def _size(path: Path) -> int | str:
    return path.stat().st_size if path.exists() else "a broken link, no"


def _write(entry: Entry, chosen: Place, path: Path, link: str) -> None:
    """Makes a file under another name, and renames it when it is whole."""
    unfinished = path.with_name(_UNFINISHED.format(path.name))
    unfinished.unlink(missing_ok=True)
    try:
        if chosen.convert:
            unfinished.write_bytes(chosen.convert(entry.read()))
        elif entry.path and link == "symlink":
            unfinished.symlink_to(entry.path.resolve())
        elif not (entry.path and link == "move" and _named_twice(entry.path, unfinished)):
            with entry.open() as file, unfinished.open("xb") as copy:
                shutil.copyfileobj(file, copy, 2**20)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    unfinished.rename(path)
    if entry.path and link == "move":
        entry.path.unlink()


def _named_twice(path: Path, name: Path) -> bool:
    """Gives a file a second name, so that it is never without one; not all disks can."""
    try:
        name.hardlink_to(path.resolve())
    except OSError:
        return False
    return True


def _check_space(sources: Sequence[Path], target: Path, link: str) -> None:
    """Compares what will be written with what is free, less what an earlier run wrote."""
    target.mkdir(parents=True, exist_ok=True)
    needed = sum(map(unpacked_bytes, sources))
    if link == "copy":
        needed += sum(_folder_bytes(source) for source in sources if source.is_dir())
    if not needed:
        return
    needed -= _folder_bytes(target)
    free = shutil.disk_usage(target).free
    if needed + _RESERVE > free:
        raise DataError(
            f"--target {target}: {needed / 1e9:.1f} GB are to be written and 1.1 GB left free, but "
            f"the disk has {free / 1e9:.1f} GB. Free some space, or choose a --target on another "
            "disk and link to it."
        )


def _folder_bytes(folder: Path) -> int:
    return sum((folder / name).lstat().st_size for name in list_files(str(folder)))
