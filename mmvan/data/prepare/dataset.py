"""What is known about a public dataset, and the steps in which it is prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.data.check.datasets import find_problems
from mmvan.data.check.detection import CocoFiles
from mmvan.data.check.problems import Problem, raise_if_any
from mmvan.data.check.sources import list_files, neighbours
from mmvan.data.prepare.images import find_faults
from mmvan.data.prepare.placing import LINKS, Destination, Placed, place
from mmvan.errors import DataError
from mmvan.location import config_dir

__all__ = [
    "REPORT",
    "Count",
    "DataSet",
    "Options",
    "config_problems",
    "decoding_problems",
    "files_of",
    "prepare",
    "report",
]

# In the target, with all that is wrong; it goes when nothing is.
REPORT = "prepare_report.txt"
_DAMAGED = "copy or unpack these files again; the archives' checksums tell whether they are whole"
_INCOMPLETE = "name the rest with --source, or accept a part of the dataset with --partial"


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Args:
        target: Where the dataset is to be.
        sources: Folders and archives; none looks at what is in the target.
        link: One of ``LINKS``.
        workers: Processes that look into images; 0 does it in this one.
        decode: Whether to look into images.
        partial: Whether fewer files than published are accepted.
        config: What the config that is written inherits; None for the task's default.
    """

    target: Path
    sources: tuple[Path, ...] = ()
    link: str = LINKS[0]
    workers: int = 0
    decode: bool = True
    partial: bool = False
    config: str | None = None


@dataclass(frozen=True)
class Count:
    """How many files and folders a folder of a dataset has.

    Args:
        folder: Relative to the dataset.
        files: Files at any depth.
        folders: Folders directly in it; None if they do not matter.
    """

    folder: str
    files: int
    folders: int | None = None


@dataclass(frozen=True)
class DataSet:
    """A public dataset.

    Args:
        target: Where the configs look for it.
        needs: What to get and where, told when nothing is there.
        destination: Makes the rules for the places of files, from the sources.
        counts: The published numbers.
        check: Finds what is wrong in the target beyond the numbers.
        finish: Writes what loaders need beside the files once all is well; returns what to do next.
    """

    target: str
    needs: str
    destination: Callable[[Sequence[Path]], Destination]
    counts: tuple[Count, ...]
    check: Callable[[Options], list[Problem]]
    finish: Callable[[Options], str]


def prepare(data: DataSet, options: Options) -> str:
    """Brings a dataset to its place, looks at all of it, and writes what loaders need.

    Args:
        data: The dataset.
        options: What the user asked for.

    Returns:
        What was done and what to do next.

    Raises:
        DataError: A source or the target cannot be used, or anything is wrong with the files; what
            was found is told at once, and all of it is written to ``REPORT`` in the target.
    """
    target = options.target
    if not options.sources and not target.is_dir():
        where = neighbours(str(target))
        raise DataError(f"--target {target}: no such folder; {where}. Name --source. {data.needs}")
    placed = Placed()
    if options.sources:
        placed = place(options.sources, data.destination(options.sources), target, options.link)
        if not placed.new + placed.kept + len(placed.conflicts):
            names = ", ".join(map(str, options.sources))
            raise DataError(
                f"--source {names}: none of its {placed.others} files is of this dataset. "
                f"{data.needs}"
            )
    problems = placed.problems(target) + _count_problems(data.counts, options)
    report(problems + data.check(options), target)
    return f"{_summary(placed, data.counts, options)}\n{data.finish(options)}"


def report(problems: Sequence[Problem], target: Path) -> None:
    """Writes all problems with all their items to a file, and raises the first of them.

    Args:
        problems: What was found.
        target: The dataset.

    Raises:
        DataError: There is any problem.
    """
    file = target / REPORT
    if not problems:
        file.unlink(missing_ok=True)
        return
    lines = [
        line
        for problem in problems
        for line in (
            f"{problem.key}: {problem.value}",
            f"  found: {problem.found}",
            f"  expected: {problem.expected}",
            f"  to do: {problem.fix}",
            *(f"    {item}" for item in problem.items),
        )
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    raise_if_any(problems, f"{target}, in full in {file}")


def config_problems(
    name: str,
    options: Options,
    metainfo: Mapping[str, Any] | None = None,
    files: CocoFiles | None = None,
) -> list[Problem]:
    """Finds what training with a config would refuse.

    Args:
        name: A file in ``configs/_base_/datasets``.
        options: Where the data are.
        metainfo: Class names other than those of the config's datasets.
        files: The annotation files read so far; by default none, and no map is decoded.
    """
    files = files or CocoFiles(max_decoded=0)
    cfg = Config.fromfile(config_dir() / "_base_" / "datasets" / name)
    for loader in ("train", "val"):
        dataset = cfg[f"{loader}_dataloader"].dataset
        dataset.data_root = str(options.target)
        if metainfo:
            dataset.metainfo = dict(metainfo)
        # Its files are those of the datasets.
        cfg[f"{loader}_evaluator"] = None
    cfg.allow_empty_categories = options.partial
    return find_problems(cfg, ("train", "val"), files)


def decoding_problems(
    folder: Path, tasks: Sequence[Any], options: Options, fix: str = _DAMAGED
) -> list[Problem]:
    """Finds the images and maps of a folder that are damaged or do not fit their annotation.

    Args:
        folder: Where they are.
        tasks: As for :func:`find_faults`.
        options: Whether to look at all, and in how many processes.
        fix: What to do about them.
    """
    faults = find_faults(tasks, options.workers, folder) if options.decode else []
    if not faults:
        return []
    found = f"{len(faults)} of {len(tasks)} files are faulty"
    expected = "files that can be decoded and fit what belongs to them"
    return [Problem(folder.name, str(folder), found, expected, fix, items=tuple(faults))]


def files_of(folder: Path) -> list[Path]:
    """All files of a folder at any depth, in order; none if it is not there."""
    return sorted(folder / name for name in list_files(str(folder))) if folder.is_dir() else []


def _count_problems(counts: Sequence[Count], options: Options) -> list[Problem]:
    problems = []
    for count in counts:
        folder = options.target / count.folder
        here = _count(folder)
        right = here.files == count.files and count.folders in (None, here.folders)
        if right or (options.partial and here.files):
            continue
        expected = "at least one file" if options.partial else _words(count)
        problems.append(Problem(count.folder, str(folder), _words(here), expected, _INCOMPLETE))
    return problems


def _count(folder: Path) -> Count:
    if not folder.is_dir():
        return Count(folder.name, 0, 0)
    folders = sum(path.is_dir() for path in folder.iterdir())
    return Count(folder.name, len(files_of(folder)), folders)


def _words(count: Count) -> str:
    folders = f" in {count.folders} folders" if count.folders else ""
    return f"{count.files} files{folders}"


def _summary(placed: Placed, counts: Sequence[Count], options: Options) -> str:
    looked = "decoded" if options.decode else "not decoded (--no-decode)"
    here = ", ".join(f"{c.folder} {_words(_count(options.target / c.folder))}" for c in counts)
    return (
        f"{options.target}: {placed.new} files placed, {placed.kept} there already, "
        f"{placed.others} not needed; images {looked}; {here}"
    )
