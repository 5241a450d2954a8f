"""Checks images in class folders, and lists of images with labels."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log

from mmvan.data.check.left_out import describe, files_left_out
from mmvan.data.check.problems import Problem, listed
from mmvan.data.check.sources import Source, advice, list_files, neighbours

__all__ = ["class_folders", "folder_problems"]


def class_folders(source: Source) -> list[str]:
    """Returns the names of the class folders; none if labels come from a list or do not exist."""
    folder = _folder(source)
    if source.ann_file or not _labelled(source) or not Path(folder).is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def folder_problems(source: Source) -> list[Problem]:
    """Checks one dataset whose files and directories exist.

    Args:
        source: A dataset of images in class folders, of listed images or without labels.
    """
    if source.ann_file:
        return list(_list_problems(source))
    _tell_left_out(source)
    if not _labelled(source):
        return [] if _has_image(source, "") else [_empty(source, "no image at any depth")]
    folders = class_folders(source)
    if not folders:
        return [_empty(source, f"no class folders; {neighbours(f'{_folder(source)}/*')}")]
    return [*_empty_folders(source, folders), *_wrong_number(source, folders)]


def _folder(source: Source) -> str:
    return source.prefixes.get("img_path") or source.root or os.curdir


def _tell_left_out(source: Source) -> None:
    endings = tuple(source.option("extensions"))
    left_out = files_left_out(_folder(source), endings)
    if left_out:
        message = f"{_key(source)}: {_folder(source)}: {describe(left_out, endings)}"
        print_log(f"{message} ({source.key}.extensions)", "current", logging.WARNING)


def _key(source: Source) -> str:
    return f"{source.key}.data_prefix"


def _labelled(source: Source) -> bool:
    return bool(source.option("with_label")) and source.split != "test"


def _has_image(source: Source, folder: str) -> bool:
    endings = tuple(source.option("extensions"))
    files = list_files(str(Path(_folder(source), folder)))
    return any(path.lower().endswith(endings) for path in files)


def _empty(source: Source, found: str) -> Problem:
    expected = "one folder of images per class" if _labelled(source) else "images"
    return Problem(_key(source), _folder(source), found, expected, advice(source.root))


def _empty_folders(source: Source, folders: list[str]) -> Iterator[Problem]:
    empty = [folder for folder in folders if not _has_image(source, folder)]
    if empty:
        found = f"{len(empty)} of {len(folders)} class folders without an image"
        expected = f"images ({', '.join(source.option('extensions'))}) in each class folder"
        fix = "fill or remove these folders: each is a class, and its place fixes its label"
        yield Problem(_key(source), _folder(source), found, expected, fix, tuple(empty))


def _wrong_number(source: Source, folders: list[str]) -> Iterator[Problem]:
    if source.classes and len(source.classes) != len(folders):
        found = f"{len(folders)} class folders: {listed(folders)}"
        expected = f"{len(source.classes)}, one for each class: {listed(source.classes)}"
        fix = f"complete the folders, or set {source.key}.metainfo.classes to what is there"
        yield Problem(_key(source), _folder(source), found, expected, fix)


def _bad_line(line: str, labelled: bool, classes: int | None) -> str:
    """Says what is wrong with a line of a list; an empty string if nothing is."""
    name, _, label = line.rpartition(" ") if labelled else (line, "", "")
    if not name:
        return "no path and label" if labelled else "no path"
    if labelled and not label.isdecimal():
        return f"label {label!r} is not a whole number from 0"
    if labelled and classes and int(label) >= classes:
        return f"label {label} with {classes} classes"
    return ""


def _list_problems(source: Source) -> Iterator[Problem]:
    lines = [x.strip() for x in Path(source.ann_file).read_text(encoding="utf-8").splitlines()]
    labelled, key = _labelled(source), f"{source.key}.ann_file"
    classes = len(source.classes) if source.classes else None
    bad = [
        f"line {number}: {reason}"
        for number, line in enumerate(lines, 1)
        if (reason := _bad_line(line, labelled, classes))
    ]
    if bad or not lines:
        found = f"{len(bad)} bad lines" if bad else "no lines"
        expected = "a path and a label from 0 on each line" if labelled else "a path on each line"
        yield Problem(key, source.ann_file, found, expected, "correct these lines", tuple(bad))
        return
    names = [line.rpartition(" ")[0] if labelled else line for line in lines]
    present = set(list_files(_folder(source)))
    absent = [name for name in names if name not in present]
    if absent:
        found = f"{len(absent)} of {len(names)} images missing"
        expected = f"every image that {source.ann_file} lists"
        fix = advice(source.root)
        yield Problem(_key(source), _folder(source), found, expected, fix, tuple(absent))
