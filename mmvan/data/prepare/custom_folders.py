"""A custom dataset for classification: a folder of images for each class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from mmvan.data.check.left_out import reason_left_out
from mmvan.data.check.problems import Problem, listed
from mmvan.data.prepare.config import Classification
from mmvan.data.prepare.custom import (
    DEFAULT_IMAGES,
    IMAGES,
    MEND,
    Choice,
    assign,
    common_folder,
    drop_dead_links,
    finish,
    left_over,
    list_images,
    split_of,
    tell_left_out,
)
from mmvan.data.prepare.dataset import Options, decoding_problems, files_of
from mmvan.data.prepare.placing import Place, place
from mmvan.errors import DataError

__all__ = ["prepare_folders"]

FOLDERS = ("train", "val")


def prepare_folders(options: Options, choice: Choice) -> str:
    """Lays class folders out as ``train/<class>`` and ``val/<class>``, with a config.

    Args:
        options: What the user asked for; the sources hold class folders, or ``train`` and ``val``
            with class folders in them.
        choice: Which images to validate on if the sources do not say so.

    Returns:
        What was done and what to do next.

    Raises:
        DataError: The sources have another form, or anything is wrong with the files.
    """
    paths = _paths(list_images(options.sources), choice)
    _check_classes(paths.values())
    places = {name: Place(path) for name, path in paths.items()}
    drop_dead_links(options.target, FOLDERS)
    placed = place(options.sources, places.get, options.target, options.link)
    trained = sum(path.startswith("train/") for path in paths.values())
    classes = tuple(sorted({path.split("/")[1] for path in paths.values()}))

    def look() -> list[Problem]:
        return [
            *placed.problems(options.target),
            *left_over(options.target, FOLDERS, places.values()),
            *_image_problems(options),
        ]

    usual = all(name.lower().endswith(DEFAULT_IMAGES) for name in paths)
    data = Classification(classes, trained, () if usual else IMAGES)
    next_step = finish(data, options, look)
    left_out = tell_left_out(
        options.sources, options.target, lambda name: reason_left_out(name, IMAGES)
    )
    numbers = f"{trained} images to train on, {len(paths) - trained} to validate"
    return f"{numbers}; {next_step}{left_out}"


def _paths(names: list[str], choice: Choice) -> dict[str, str]:
    """Paths in the target by the names of images in the sources."""
    folder = common_folder(names)
    inside = {name: str(PurePosixPath(name).relative_to(folder)) for name in names}
    if all(split_of(path) for path in inside.values()):
        return {n: f"{split_of(path)}/{path.partition('/')[2]}" for n, path in inside.items()}
    by_class = defaultdict(list)
    for path in inside.values():
        by_class[path.partition("/")[0]].append(path)
    # Each class is divided on its own, so that both splits have all of them.
    splits: dict[str, str] = {}
    for paths in by_class.values():
        splits |= assign(paths, choice)
    return {name: f"{splits[path]}/{path}" for name, path in inside.items()}


def _check_classes(paths: Iterable[str]) -> None:
    """Refuses images outside class folders, and classes that one split lacks."""
    found: dict[str, set[str]] = {"train": set(), "val": set()}
    loose = []
    for path in paths:
        split, *folders, _ = path.split("/")
        if folders:
            found[split].add(folders[0])
        else:
            loose.append(path)
    if loose:
        raise DataError(
            f"--source: {len(loose)} images are in no class folder: {listed(loose, 20)}. "
            "Expected <class>/<image>, or the same in train and val; for images with "
            "annotations name --annotations or --masks."
        )
    odd = found["train"] ^ found["val"]
    if odd or len(found["train"]) < 2:
        raise DataError(
            f"--source: expected two or more class folders, the same in train and val, with two or "
            f"more images each. Found {listed(sorted(found['train']))} in train and "
            f"{listed(sorted(found['val']))} in val; in one only: {listed(sorted(odd), 20)}."
        )


def _image_problems(options: Options) -> list[Problem]:
    return [
        problem
        for folder in (options.target / split for split in FOLDERS)
        for problem in decoding_problems(folder, files_of(folder), options, MEND)
    ]
