"""Small sample datasets that the tests of this folder share, and configs that point to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmvan.data.sample import SAMPLE_CATEGORIES, SAMPLE_CLASSES, SAMPLE_SEGMENTS, prepare
from mmvan.data.sample.catalog import GROUNDS

COUNTS = {"cls": (2, 1), "det": (24, 6), "seg": (4, 2)}


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three sample datasets, small; not to be changed."""
    root = tmp_path_factory.mktemp("data")
    for name, counts in COUNTS.items():
        assert prepare(root, name, counts=counts)
    return root


@pytest.fixture
def own_root(sample_root: Path, tmp_path: Path) -> Path:
    """A copy of the sample datasets that a test may damage."""
    return Path(shutil.copytree(sample_root, tmp_path / "own"))


def _config(scope: str, model: dict[str, Any], train: Any, val: Any, evaluator: Any) -> Config:
    return Config(
        {
            "default_scope": scope,
            "model": model,
            "train_dataloader": {"dataset": train},
            "val_dataloader": {"dataset": val},
            "test_dataloader": {"dataset": val},
            "val_evaluator": evaluator,
            "test_evaluator": evaluator,
        }
    )


def classification_config(root: Path) -> Config:
    """A config of mmpretrain for the sample ImageNet tree, reduced to what the checks read."""
    train, val = (
        {
            "type": "ImageNet",
            "data_root": str(root / "imagenet"),
            "split": split,
            "metainfo": {"classes": SAMPLE_CLASSES},
        }
        for split in ("train", "val")
    )
    model = {"head": {"type": "LinearClsHead", "num_classes": 10}}
    return _config("mmpretrain", model, train, val, {"type": "Accuracy"})


def detection_config(root: Path) -> Config:
    """A config of mmdet for the sample COCO data, reduced to what the checks read."""
    train, val = (
        {
            "type": "CocoDataset",
            "data_root": str(root / "coco"),
            "ann_file": f"annotations/instances_{split}2017.json",
            "data_prefix": {"img": f"{split}2017/"},
            "metainfo": {"classes": SAMPLE_CATEGORIES},
        }
        for split in ("train", "val")
    )
    evaluator = {
        "type": "CocoMetric",
        "ann_file": str(root / "coco/annotations/instances_val2017.json"),
    }
    heads = {"bbox_head": {"num_classes": 5}, "mask_head": {"num_classes": 5}}
    return _config("mmdet", {"roi_head": heads}, train, val, evaluator)


def panoptic_config(root: Path) -> Config:
    """A config of mmdet for the panoptic sample data, reduced to what the checks read."""
    names = {
        "classes": (*SAMPLE_CATEGORIES, *GROUNDS),
        "thing_classes": SAMPLE_CATEGORIES,
        "stuff_classes": GROUNDS,
    }
    train, val = (
        {
            "type": "CocoPanopticDataset",
            "data_root": str(root / "coco"),
            "ann_file": f"annotations/panoptic_{split}2017.json",
            "data_prefix": {
                "img": f"{split}2017/",
                "seg": f"annotations/panoptic_{split}2017/",
            },
            "metainfo": names,
        }
        for split in ("train", "val")
    )
    model = {"panoptic_head": {"num_things_classes": 5, "num_stuff_classes": 3}}
    return _config("mmdet", model, train, val, {"type": "mmvan.PanopticQuality"})


def segmentation_config(root: Path) -> Config:
    """A config of mmseg for the sample ADE20K data, reduced to what the checks read."""
    train, val = (
        {
            "type": "BaseSegDataset",
            "data_root": str(root / "ade20k"),
            "data_prefix": {
                "img_path": f"images/{folder}",
                "seg_map_path": f"annotations/{folder}",
            },
            "reduce_zero_label": True,
            "metainfo": {"classes": SAMPLE_SEGMENTS},
        }
        for folder in ("training", "validation")
    )
    model = {"decode_head": {"num_classes": 8}}
    return _config("mmseg", model, train, val, {"type": "IoUMetric"})


@pytest.fixture(scope="session")
def configs() -> dict[str, Callable[[Path], Config]]:
    """Makers of configs by task, from the root of the sample data."""
    return {
        "cls": classification_config,
        "det": detection_config,
        "pan": panoptic_config,
        "seg": segmentation_config,
    }
