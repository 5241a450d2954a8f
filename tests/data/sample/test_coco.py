"""The COCO files: what pycocotools and mmdet read is what was drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mmvan.data.sample.catalog import CATEGORY_IDS, SAMPLE_CATEGORIES
from mmvan.data.sample.coco import annotate
from mmvan.data.sample.scenes import Scene, Thing, draw_scene

SPLITS = {"train": 24, "val": 6}


def image_of(mask: np.ndarray, crowd: bool = False) -> Scene:
    image = Scene(np.zeros((*mask.shape, 3), np.float32), np.zeros(mask.shape, np.uint8))
    image.things.append(Thing(0, crowd))
    image.owner[mask] = 1
    return image


def decode(segmentation: Any, shape: tuple[int, int]) -> np.ndarray:
    coco = COCO()
    coco.imgs = {1: {"height": shape[0], "width": shape[1]}}
    return coco.annToMask({"image_id": 1, "segmentation": segmentation}).astype(bool)


def test_pycocotools_reads_every_mask_as_annotated(sample_root: Path) -> None:
    forms = {"polygon": 0, "compressed": 0, "crowd": 0}
    for split, count in SPLITS.items():
        coco = COCO(sample_root / f"coco/annotations/instances_{split}2017.json")
        assert len(coco.imgs) == count
        for annotation in coco.anns.values():
            mask = coco.annToMask(annotation).astype(bool)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            left, top = columns[0], rows[0]
            box = [left, top, columns[-1] + 1 - left, rows[-1] + 1 - top]
            assert annotation["bbox"] == box
            assert annotation["area"] == mask.sum() == mask_api.area(coco.annToRLE(annotation))
            segmentation = annotation["segmentation"]
            if annotation["iscrowd"]:
                assert isinstance(segmentation["counts"], list)
                forms["crowd"] += 1
            else:
                forms["polygon" if isinstance(segmentation, list) else "compressed"] += 1
    assert forms["polygon"] > 40
    assert forms["compressed"] > 10
    assert forms["crowd"] >= 2


def test_ids_have_gaps_and_name_one_thing_each(sample_root: Path) -> None:
    seen: set[int] = set()
    for split in SPLITS:
        content = json.loads(
            (sample_root / f"coco/annotations/instances_{split}2017.json").read_text()
        )
        assert {"info", "licenses"} < set(content)
        named = [(entry["id"], entry["name"]) for entry in content["categories"]]
        assert named == list(zip(CATEGORY_IDS, SAMPLE_CATEGORIES, strict=True))
        images = {entry["id"] for entry in content["images"]}
        ids = [entry["id"] for entry in content["annotations"]]
        assert len(ids) == len(set(ids))
        assert {entry["image_id"] for entry in content["annotations"]} <= images
        assert not images & seen
        seen |= images
    assert max(CATEGORY_IDS) > len(CATEGORY_IDS)
    assert len(seen) == sum(SPLITS.values())


def test_annotations_cover_what_is_visible() -> None:
    compared = 0
    for number in range(30):
        rng = np.random.default_rng(number)
        _, image = draw_scene(rng, 160, 192, crowd_share=0.5)
        shown = [
            index
            for index, thing in enumerate(image.things)
            if thing.kind >= 0 and image.visible(index).sum() >= 24
        ]
        annotations = annotate(image)
        assert len(annotations) == len(shown)
        for index, annotation in zip(shown, annotations, strict=True):
            visible = image.visible(index)
            segmentation = annotation["segmentation"]
            decoded = decode(segmentation, visible.shape)
            overlap = (decoded & visible).sum() / (decoded | visible).sum()
            assert overlap == 1 if isinstance(segmentation, dict) else overlap > 0.93
            compared += 1
    assert compared > 80


def test_the_form_follows_the_shape_of_the_visible_part() -> None:
    whole = np.zeros((40, 50), bool)
    whole[5:25, 10:40] = True
    split, pierced = whole.copy(), whole.copy()
    split[:, 20:30] = False
    pierced[10:15, 20:30] = False
    assert annotate(image_of(whole))[0]["bbox"] == [10, 5, 30, 20]
    assert isinstance(annotate(image_of(whole))[0]["segmentation"], list)
    for mask in (split, pierced):
        assert isinstance(annotate(image_of(mask))[0]["segmentation"]["counts"], str)
    crowd = annotate(image_of(split, crowd=True))[0]
    assert crowd["iscrowd"] == 1
    assert sum(crowd["segmentation"]["counts"]) == split.size


@pytest.mark.parametrize("corner", (False, True))
def test_uncompressed_runs_begin_with_zeros(corner: bool) -> None:
    mask = np.zeros((6, 8), bool)
    mask[:, 1:6] = True
    mask[0, 0] = corner
    segmentation = annotate(image_of(mask, crowd=True))[0]["segmentation"]
    assert segmentation["counts"] == ([0, 1, 5, 30, 12] if corner else [6, 30, 12])
    np.testing.assert_array_equal(decode(segmentation, mask.shape), mask)


def test_hidden_objects_are_not_annotated() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:4, :5] = True
    assert annotate(image_of(mask)) == []


def test_mmdet_loads_it(sample_root: Path, configs: dict[str, Callable[[Path], Config]]) -> None:
    cfg = configs["det"](sample_root)
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
    ]
    with DATASETS.switch_scope_and_registry("mmdet") as registry:
        dataset = registry.build(cfg.train_dataloader.dataset | {"pipeline": pipeline})
        assert len(dataset) == SPLITS["train"]
        labels = set()
        for sample in dataset:
            masks = sample["gt_masks"].masks
            assert masks.shape[1:] == sample["img"].shape[:2]
            assert len(masks) == len(sample["gt_bboxes"]) == len(sample["gt_ignore_flags"])
            assert masks.any((1, 2)).all()
            labels |= set(sample["gt_bboxes_labels"])
    assert labels == set(range(5))
