"""Heads for another number of classes than the data have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmvan.data.check import DataError, check_datasets
from mmvan.data.check.heads import head_problems
from mmvan.data.check.sources import find_sources

Configs = dict[str, Callable[[Path], Config]]


@pytest.mark.parametrize(
    ("task", "key", "wrong", "right"),
    (
        ("cls", "model.head.num_classes", 1000, 10),
        ("det", "model.roi_head.bbox_head.num_classes", 80, 5),
        ("det", "model.roi_head.mask_head.num_classes", 4, 5),
        ("pan", "model.panoptic_head.num_things_classes", 80, 5),
        ("pan", "model.panoptic_head.num_stuff_classes", 53, 3),
        ("seg", "model.decode_head.num_classes", 150, 8),
    ),
)
def test_the_key_and_both_numbers_are_named(
    sample_root: Path, configs: Configs, task: str, key: str, wrong: int, right: int
) -> None:
    cfg = configs[task](sample_root)
    cfg.merge_from_dict({key: wrong})
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, ("train",))
    text = str(caught.value)
    assert text.startswith("1 problem ")
    assert f"1. {key}: {wrong}\n   found:    a head for {wrong} classes\n" in text
    names = {"num_things_classes": "thing classes", "num_stuff_classes": "stuff classes"}
    counted = names.get(key.rpartition(".")[2], "classes")
    assert f"expected: {right}, the number of {counted} of train_dataloader.dataset" in text
    assert f"--cfg-options {key}={right}" in text


@pytest.mark.parametrize(
    ("model", "keys"),
    (
        (
            {"roi_head": {"bbox_head": [{"num_classes": 80}, {"num_classes": 5}]}},
            ["model.roi_head.bbox_head[0].num_classes"],
        ),
        ({"bbox_head": {"num_classes": 80}}, ["model.bbox_head.num_classes"]),
        ({"roi_head": {"mask_head": {"num_classes": 80, "class_agnostic": True}}}, []),
        ({"roi_head": {"semantic_head": {"num_classes": 183}}}, []),
        ({"backbone": {"num_classes": 80}}, []),
        (None, []),
    ),
)
def test_heads_are_found_at_any_depth(
    sample_root: Path, configs: Configs, model: dict[str, Any] | None, keys: list[str]
) -> None:
    cfg = configs["det"](sample_root)
    cfg.pop("model")
    if model:
        cfg.merge_from_dict({"model": model})
    problems = head_problems(cfg, find_sources(cfg, "train"))
    assert [problem.key for problem in problems] == keys


def test_class_folders_count_where_no_names_are_given(sample_root: Path) -> None:
    dataset = {"type": "CustomDataset", "data_root": str(sample_root / "imagenet/train")}
    cfg = Config(
        {
            "default_scope": "mmpretrain",
            "model": {"head": {"num_classes": 7}},
            "train_dataloader": {"dataset": dataset},
        }
    )
    problems = head_problems(cfg, find_sources(cfg, "train"))
    assert [problem.expected.split(",")[0] for problem in problems] == ["10"]
