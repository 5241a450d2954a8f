"""Files that a dataset does not take, by reason: none is passed over without a word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from mmvan.data.check.problems import listed

__all__ = ["describe", "files_left_out", "reason_left_out"]

_HIDDEN = "hidden"
# What the systems of desktops leave everywhere, and nobody means as data.
_LITTER = ("Thumbs.db", "desktop.ini", ".DS_Store", ".directory")


def reason_left_out(name: str, endings: Sequence[str], any_case: bool = True) -> str:
    """Says why a file is not taken; an empty string if it is.

    Args:
        name: Its path.
        endings: How names of images end, in lower case.
        any_case: Whether upper case will do as well.
    """
    path = PurePosixPath(name)
    if path.name.startswith("."):
        return _HIDDEN
    if name.endswith(tuple(endings)):
        return ""
    if name.lower().endswith(tuple(ending.lower() for ending in endings)):
        return "" if any_case else f"{path.suffix} in upper case"
    return f"ends in {path.suffix}" if path.suffix else "no extension"


def files_left_out(
    folder: str | Path, endings: Sequence[str], any_case: bool = True
) -> dict[str, list[str]]:
    """Finds the files of a folder, at any depth, that are not taken.

    Args:
        folder: The folder.
        endings: How names of images end.
        any_case: Whether upper case will do as well.

    Returns:
        Names relative to the folder by reason, both in order.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(_all_files(str(folder))):
        reason = reason_left_out(name, endings, any_case)
        if reason and PurePosixPath(name).name not in _LITTER:
            found.setdefault(reason, []).append(name)
    return dict(sorted(found.items()))


def describe(left_out: dict[str, list[str]], taken: Iterable[str] = ()) -> str:
    """One line: how many files are left out, with the reasons and the first names of each.

    Args:
        left_out: Names by reason.
        taken: The endings that are taken, for the end of the line.
    """
    number = sum(map(len, left_out.values()))
    reasons = "; ".join(
        f"{reason}: {len(names)} ({listed(names)})" for reason, names in left_out.items()
    )
    end = f"; taken are {', '.join(taken)}" if taken else ""
    return f"{number} files left out: {reasons}{end}"


def _all_files(root: str) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        inside = os.path.relpath(folder, root)
        for name in names:
            yield name if inside == os.curdir else f"{inside}/{name}".replace(os.sep, "/")
