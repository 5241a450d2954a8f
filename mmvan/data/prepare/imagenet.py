"""ImageNet-1k (ILSVRC2012): training and validation images in class folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mmvan.data.check.problems import Problem
from mmvan.data.check.sources import list_files
from mmvan.data.prepare.dataset import (
    Count,
    DataSet,
    Options,
    config_problems,
    decoding_problems,
    files_of,
)
from mmvan.data.prepare.imagenet_labels import find_labels
from mmvan.data.prepare.placing import Destination, Place
from mmvan.errors import DataError

__all__ = ["IMAGENET"]

SPLITS = ("train", "val")
_TRAIN = re.compile(r"(n\d{8})_\d+\.jpe?g", re.IGNORECASE)
_VAL = re.compile(r"(ILSVRC2012_val_\d{8})\.jpe?g", re.IGNORECASE)
_FOLDER = re.compile(r"n\d{8}")


def _destination(sources: Sequence[Path]) -> Destination:
    labels = find_labels(sources)

    def destination(name: str) -> Place | None:
        path = PurePosixPath(name)
        if match := _TRAIN.fullmatch(path.name):
            return Place(f"train/{match[1]}/{path.name}")
        if match := _VAL.fullmatch(path.name):
            return Place(f"val/{_class(path, match[1], labels)}/{path.name}")
        return None

    return destination


def _class(path: PurePosixPath, stem: str, labels: dict[str, str]) -> str:
    """The class folder of a validation image: by its label, or else the one that it is in."""
    if stem in labels:
        return labels[stem]
    if _FOLDER.fullmatch(path.parent.name):
        return path.parent.name
    what = "has no line in them" if labels else "were not found in any --source"
    raise DataError(
        f"{path}: the class of this validation image is not known: the labels {what}. Add "
        "--source ILSVRC2012_devkit_t12.tar.gz, or a folder with valprep.sh, val_map.txt or "
        "LOC_val_solution.csv."
    )


def _check(options: Options) -> list[Problem]:
    # Labels are places in the sorted folders: those of a subset, or all thousand.
    folders = _class_folders(options.target / "train")
    problems = _folder_problems(options.target, set(folders))
    problems += config_problems("imagenet.py", options, {"classes": folders})
    for split in SPLITS:
        folder = options.target / split
        problems += decoding_problems(folder, files_of(folder), options)
    return problems


def _class_folders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def _folder_problems(target: Path, train: set[str]) -> list[Problem]:
    val = set(_class_folders(target / "val"))
    if val == train:
        return []
    found = f"{len(val ^ train)} class folders in one of train and val only"
    fix = "give the rest with --source, or take these folders away: labels are folders' places"
    expected = "the same folders in both"
    return [Problem("val", str(target / "val"), found, expected, fix, tuple(sorted(val ^ train)))]


def _finish(options: Options) -> str:
    train = "Train with tools/dist_train.sh configs/classification/van_b_in1k.py 8."
    if options.partial:
        return f"{train} A part of the classes is numbered in the order of its folders."
    for split in SPLITS:
        _write_list(options.target, split)
    return f"{train} meta/train.txt and meta/val.txt spare loaders the search for files."


def _write_list(target: Path, split: str) -> None:
    """Writes mmpretrain's list: on each line a path and a label."""
    names = sorted(list_files(str(target / split)))
    labels = {folder: i for i, folder in enumerate(sorted({n.partition("/")[0] for n in names}))}
    lines = "".join(f"{name} {labels[name.partition('/')[0]]}\n" for name in names)
    file = target / "meta" / f"{split}.txt"
    file.parent.mkdir(exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(lines, encoding="utf-8")
    unfinished.replace(file)


# The numbers are those of the challenge (https://image-net.org/challenges/LSVRC/2012).
IMAGENET = DataSet(
    "data/imagenet",
    "From https://image-net.org after registration: ILSVRC2012_img_train.tar, "
    "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz.",
    _destination,
    (Count("train", 1281167, 1000), Count("val", 50000, 1000)),
    _check,
    _finish,
)
