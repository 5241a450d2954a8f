"""CUB-200-2011, as mmpretrain's ``CUB`` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmvan.data.check.problems import Problem
from mmvan.data.prepare.dataset import (
    Count,
    DataSet,
    Options,
    config_problems,
    decoding_problems,
    files_of,
)
from mmvan.data.prepare.placing import Rule, by_rules

__all__ = ["CUB200"]

# Each line has the number of an image and a word.
TABLES = ("images.txt", "image_class_labels.txt", "train_test_split.txt")
RULES = (
    Rule(r"(images/\d{3}\.[^/]+/[^/]+\.jpg)", r"\1"),
    Rule(r"((?:images|image_class_labels|train_test_split|classes)\.txt)", r"\1"),
)
NUM_CLASSES = 200


def _check(options: Options) -> list[Problem]:
    problems = config_problems("cub200.py", options) + list(_table_problems(options.target))
    folder = options.target / "images"
    return problems + decoding_problems(folder, files_of(folder), options)


def _table_problems(target: Path) -> Iterator[Problem]:
    missing = tuple(name for name in TABLES if not (target / name).is_file())
    fix = "unpack CUB_200_2011.tgz again"
    if missing:
        found = f"{len(missing)} tables missing"
        yield Problem("tables", str(target), found, "the tables of the archive", fix, missing)
        return
    images, labels, splits = (_read(target / name) for name in TABLES)
    odd = sorted(images.keys() ^ labels.keys() | images.keys() ^ splits.keys())
    if odd:
        found = f"{len(odd)} images that are not in all tables, by number"
        yield Problem("tables", str(target), found, f"equal numbers in {TABLES}", fix, tuple(odd))
    wrong = [f"{key} {value}" for key, value in labels.items() if not _is_label(value)]
    wrong += [f"{key} {value}" for key, value in splits.items() if value not in ("0", "1")]
    if wrong:
        expected = f"classes from 1 to {NUM_CLASSES}, and 0 or 1 for the split"
        found = f"{len(wrong)} wrong lines"
        yield Problem("tables", str(target), found, expected, fix, tuple(wrong))
    folder = target / "images"
    present = {path.relative_to(folder).as_posix() for path in files_of(folder)}
    absent = tuple(name for name in images.values() if name not in present)
    if absent:
        found = f"{len(absent)} of {len(images)} images missing"
        yield Problem("images.txt", str(target), found, "every image of it", fix, absent)


def _read(file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    words = (line.partition(" ") for line in lines if line.strip())
    return {number: word.strip() for number, _, word in words}


def _is_label(word: str) -> bool:
    return word.isdecimal() and 1 <= int(word) <= NUM_CLASSES


# The numbers are those of the dataset's README.
CUB200 = DataSet(
    "data/CUB_200_2011",
    "From https://data.caltech.edu/records/65de6-vp158: CUB_200_2011.tgz.",
    lambda sources: by_rules(RULES),
    (Count("images", 11788, NUM_CLASSES),),
    _check,
    lambda options: "Train with tools/dist_train.sh configs/classification/van_h_cub200.py 2.",
)
