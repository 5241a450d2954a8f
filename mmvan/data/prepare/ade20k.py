"""ADE20K as the scene parsing challenge of 2016 published it, with 150 classes."""

from __future__ import annotations

from mmvan.data.check.problems import Problem
from mmvan.data.prepare.dataset import (
    Count,
    DataSet,
    Options,
    config_problems,
    decoding_problems,
    files_of,
)
from mmvan.data.prepare.images import LabelMap
from mmvan.data.prepare.placing import Rule, by_rules

__all__ = ["ADE20K"]

# 0 is what belongs to no class.
LABELS = 151
RULES = (
    Rule(r"(images/(?:training|validation)/[^/]+\.jpg)", r"\1"),
    Rule(r"(annotations/(?:training|validation)/[^/]+\.png)", r"\1"),
    Rule(r"((?:objectInfo150|sceneCategories)\.txt)", r"\1"),
)


def _check(options: Options) -> list[Problem]:
    problems = config_problems("ade20k.py", options)
    for split in ("training", "validation"):
        images, maps = (options.target / kind / split for kind in ("images", "annotations"))
        files = files_of(images)
        problems += decoding_problems(images, files, options)
        pairs = [LabelMap(maps / f"{path.stem}.png", path, LABELS) for path in files]
        present = [pair for pair in pairs if pair.path.is_file()]
        problems += decoding_problems(maps, present, options)
    return problems


# The numbers are those of the challenge (http://sceneparsing.csail.mit.edu).
ADE20K = DataSet(
    "data/ade/ADEChallengeData2016",
    "From http://sceneparsing.csail.mit.edu: ADEChallengeData2016.zip.",
    lambda sources: by_rules(RULES),
    (
        Count("images/training", 20210),
        Count("annotations/training", 20210),
        Count("images/validation", 2000),
        Count("annotations/validation", 2000),
    ),
    _check,
    lambda options: "Train with tools/dist_train.sh configs/segmentation/van_b_fpn.py 8.",
)
