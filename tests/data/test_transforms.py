"""Panoptic masks as mmdet's pipelines get them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmvan.data.panoptic import encode_ids, read_ids
from mmvan.data.transforms import LoadPanopticMasks

STEPS = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations", "with_bbox": True},
    {"type": "mmvan.LoadPanopticMasks"},
]


def test_masks_and_labels_are_those_of_the_segments(
    sample_root: Path, configs: dict[str, Callable[[Path], Config]]
) -> None:
    settings = configs["pan"](sample_root).train_dataloader.dataset
    with DATASETS.switch_scope_and_registry("mmdet") as registry:
        dataset = registry.build({**settings, "pipeline": STEPS})
        images = [dataset[index] for index in range(len(dataset))]
    things = crowds = 0
    for image in images:
        ids, segments = read_ids(image["seg_map_path"]), image["segments_info"]
        expected = np.full(ids.shape, 255)
        for segment in segments:
            expected[ids == segment["id"]] = segment["category"]
        assert np.array_equal(image["gt_seg_map"], expected)
        masks = image["gt_masks"].masks
        shown = [segment for segment in segments if segment["is_thing"]]
        assert len(masks) == len(shown) == len(image["gt_bboxes"])
        for mask, segment, label in zip(masks, shown, image["gt_bboxes_labels"], strict=True):
            assert np.array_equal(mask, ids == segment["id"])
            assert segment["category"] == label < 5
        things += len(shown)
        crowds += sum(s["category"] < 5 and not s["is_thing"] for s in segments)
    assert (len(images), crowds) == (24, 5)
    assert things > 60


def test_an_image_without_annotations_is_left_as_it_is() -> None:
    for results in ({"img_path": "a.jpg"}, {"img_path": "a.jpg", "seg_map_path": None}):
        assert LoadPanopticMasks()(results) is results


def test_an_image_without_things_has_no_masks(tmp_path: Path) -> None:
    ids = np.full((6, 8), 70001, np.int32)
    Image.fromarray(encode_ids(ids)).save(tmp_path / "a.png")
    segments = [{"id": 70001, "category": 6, "is_thing": False}]
    found = LoadPanopticMasks()(
        {"seg_map_path": str(tmp_path / "a.png"), "segments_info": segments}
    )
    assert found["gt_masks"].masks.shape == (0, 6, 8)
    assert (found["gt_seg_map"] == 6).all()
