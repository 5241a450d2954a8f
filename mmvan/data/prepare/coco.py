"""COCO 2017: images, instances and, where they are given, panoptic maps."""

from __future__ import annotations

from pathlib import Path

from mmvan.data.check.detection import CocoFiles
from mmvan.data.check.problems import Problem
from mmvan.data.prepare.dataset import (
    Count,
    DataSet,
    Options,
    config_problems,
    decoding_problems,
    files_of,
)
from mmvan.data.prepare.images import SegmentMap
from mmvan.data.prepare.placing import Rule, by_rules
from mmvan.errors import DataError

__all__ = ["COCO"]

SPLITS = ("train2017", "val2017")
RULES = (
    Rule(r"((?:train|val)2017/[^/]+\.jpg)", r"\1"),
    Rule(r"((?:instances|panoptic)_(?:train|val)2017\.json)", r"annotations/\1"),
    Rule(r"(panoptic_(?:train|val)2017/[^/]+\.png)", r"annotations/\1"),
)


def _check(options: Options) -> list[Problem]:
    # Of the panoptic maps none is decoded here: below, all are, in parallel.
    files = CocoFiles(max_decoded=0)
    problems = config_problems("coco_instance.py", options, files=files)
    for split in SPLITS:
        folder = options.target / split
        problems += decoding_problems(folder, files_of(folder), options)
    if _has_panoptic(options.target):
        problems += config_problems("coco_panoptic.py", options, files=files)
        for split in SPLITS:
            problems += _segment_problems(split, options, files)
    return problems


def _has_panoptic(target: Path) -> bool:
    return any(target.glob("annotations/panoptic_*"))


def _segment_problems(split: str, options: Options, files: CocoFiles) -> list[Problem]:
    """Compares the panoptic maps that are there with their annotations."""
    folder = options.target / "annotations" / f"panoptic_{split}"
    try:
        images = files.read(f"{folder}.json").segmented or ()
    except (DataError, FileNotFoundError):
        return []  # It is among the problems of the config.
    tasks = [SegmentMap(folder, image) for image in images]
    return decoding_problems(folder, [task for task in tasks if task.path.is_file()], options)


def _finish(options: Options) -> str:
    train = "tools/dist_train.sh configs/detection/van_b_maskrcnn.py 8"
    if _has_panoptic(options.target):
        return f"Train with {train} or configs/detection/van_b_mask2former_panoptic.py."
    return f"Train with {train}; panoptic segmentation needs panoptic_annotations_trainval2017.zip."


# The numbers are those of the annotation files of 2017.
COCO = DataSet(
    "data/coco",
    "From https://cocodataset.org/#download: train2017.zip, val2017.zip, "
    "annotations_trainval2017.zip, and for panoptic segmentation "
    "panoptic_annotations_trainval2017.zip.",
    lambda sources: by_rules(RULES),
    (Count("train2017", 118287), Count("val2017", 5000)),
    _check,
    _finish,
)
