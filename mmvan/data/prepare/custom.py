"""What custom datasets share: the choice of validation images, and the last checks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmengine.config import Config

from mmvan.data.check.datasets import find_problems
from mmvan.data.check.detection import CocoFiles
from mmvan.data.check.left_out import describe, files_left_out, reason_left_out
from mmvan.data.check.problems import Problem, listed
from mmvan.data.prepare.config import (
    Classification,
    Detection,
    Segmentation,
    next_step,
    write_config,
)
from mmvan.data.prepare.dataset import Options, files_of, report
from mmvan.data.prepare.entries import walk
from mmvan.data.prepare.placing import Place
from mmvan.errors import DataError

__all__ = [
    "DEFAULT_IMAGES",
    "IMAGES",
    "MEND",
    "Choice",
    "assign",
    "common_folder",
    "drop_dead_links",
    "finish",
    "left_over",
    "list_images",
    "split_of",
    "tell_left_out",
    "write_once",
]

# What mmpretrain's CustomDataset takes for images by itself, and what configs make it take.
DEFAULT_IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")
IMAGES = (*DEFAULT_IMAGES, ".tiff", ".webp", ".jfif")
LEFT_OUT = "left_out.txt"
# What to do about files that cannot be decoded, or do not fit what belongs to them.
MEND = (
    "repair these files in --source, or take them and what belongs to them out of it, and repeat "
    "the command"
)
SPLITS = {"train": "train", "training": "train"} | dict.fromkeys(
    ("val", "valid", "validation", "test"), "val"
)


@dataclass(frozen=True)
class Choice:
    """How validation images are chosen where they are not given.

    Args:
        ratio: Their share, above 0 and below 1.
        seed: Another seed chooses others.

    Raises:
        DataError: The ratio is out of its range.
    """

    ratio: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise DataError(f"--val-ratio {self.ratio}: expected a share between 0 and 1, as 0.2")


def list_images(sources: Sequence[Path], suffixes: Sequence[str] = IMAGES) -> list[str]:
    """Names of all images of folders and archives.

    Args:
        sources: Folders and archives.
        suffixes: How names of images end, in lower case.

    Raises:
        DataError: There is none.
    """
    names = [
        entry.name
        for source in sources
        for entry in walk(source)
        if entry.name.lower().endswith(tuple(suffixes))
    ]
    if not names:
        where = ", ".join(map(str, sources))
        raise DataError(f"{where}: no image in it. Expected files that end in {listed(suffixes)}")
    return names


def tell_left_out(sources: Sequence[Path], target: Path, reason: Callable[[str], str]) -> str:
    """Writes the files that do not become a part of the dataset to ``LEFT_OUT`` in the target.

    Args:
        sources: Folders and archives.
        target: The dataset.
        reason: Why the dataset has not a name that :func:`walk` gives; empty if it has.

    Returns:
        A line with their number and the first of each reason, or an empty string.
    """
    left_out: dict[str, list[str]] = {}
    for source in sources:
        names = [e.name for e in walk(source) if not (e.path and _is_below(e.path, target))]
        if source.is_dir():
            names += files_left_out(source, [""]).get("hidden", [])
        for name in names:
            why = reason_left_out(name, [""]) or reason(name)
            if why:
                left_out.setdefault(why, []).append(name)
    file = target / LEFT_OUT
    if not left_out:
        file.unlink(missing_ok=True)
        return ""
    lines = [f"{name}: {why}" for why, names in sorted(left_out.items()) for name in names]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"\n{describe(dict(sorted(left_out.items())))}; all of them in {file}"


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder by its own path, links not followed."""
    return folder.absolute() in path.absolute().parents


def common_folder(names: Iterable[str]) -> PurePosixPath:
    """The deepest folder that all names are in: archives often have one around everything."""
    parents = [PurePosixPath(name).parent.parts for name in names]
    depth = 0
    while len({parts[: depth + 1] for parts in parents}) == 1 and depth < len(parents[0]):
        depth += 1
    return PurePosixPath(*parents[0][:depth])


def split_of(name: str) -> str:
    """The split of a path that begins with a folder such as ``valid``; empty if none does."""
    return SPLITS.get(PurePosixPath(name).parts[0].lower(), "")


def assign(names: Iterable[str], choice: Choice) -> dict[str, str]:
    """Divides names into ``train`` and ``val``.

    The order is that of the names' hashes, so that it depends on no other name.

    Args:
        names: What to divide.
        choice: The share of ``val``; from two names on, each split gets at least one.

    Returns:
        The split of each name.
    """

    def key(name: str) -> str:
        return hashlib.sha256(f"{choice.seed}/{name}".encode()).hexdigest()

    ordered = sorted(set(names), key=key)
    number = min(max(1, round(choice.ratio * len(ordered))), len(ordered) - 1)
    return {name: "val" if i < number else "train" for i, name in enumerate(ordered)}


def write_once(file: Path, text: str) -> None:
    """Writes a file, unless it is there with the same content.

    Args:
        file: The file.
        text: Its content.

    Raises:
        DataError: It is there with another content.
    """
    if file.exists():
        if file.read_text(encoding="utf-8") != text:
            raise DataError(
                f"{file} is there with another content, from another --seed, --val-ratio or "
                "--source. Choose another --target, or remove it."
            )
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)


def drop_dead_links(target: Path, folders: Iterable[str]) -> None:
    """Removes the links of another run whose files are gone from where they were.

    Args:
        target: The dataset.
        folders: Its folders of images and label maps.
    """
    for path in (path for folder in folders for path in files_of(target / folder)):
        if path.is_symlink() and not path.exists():
            path.unlink()


def left_over(target: Path, folders: Iterable[str], places: Iterable[Place]) -> list[Problem]:
    """Finds files of another run, which may be in the other split now.

    Args:
        target: The dataset.
        folders: Its folders of images and label maps.
        places: Where files belong.
    """
    wanted = {target / place.path for place in places}
    here = {path for folder in folders for path in files_of(target / folder)}
    extra = tuple(path.relative_to(target).as_posix() for path in sorted(here - wanted))
    if not extra:
        return []
    found = f"{len(extra)} files that are not of this run"
    expected = "files of --source only, divided by this --seed and --val-ratio"
    fix = "remove these files, choose another --target, or name all sources at once"
    return [Problem("--target", str(target), found, expected, fix, items=extra)]


def finish(
    data: Classification | Detection | Segmentation,
    options: Options,
    look: Callable[[], list[Problem]],
) -> str:
    """Writes the config, and finds what it and the images have wrong.

    Args:
        data: What the dataset is like.
        options: What the user asked for.
        look: Decodes the files.

    Returns:
        What to do next.

    Raises:
        DataError: Anything is wrong.
    """
    known = set(options.target.glob("*.py"))
    file = write_config(data, options.target, options.config)
    # Of the label maps none is decoded here: below, all are.
    files = CocoFiles(max_decoded=0)
    problems = find_problems(Config.fromfile(file), ("train", "val"), files) + look()
    if problems and file not in known:
        # It may change with what is fixed, and one that is there is never written again.
        file.unlink()
    report(problems, options.target)
    return f"{len(data.classes)} classes: {listed(data.classes)}\n{next_step(file, file in known)}"
