"""The ADE20K files: labels fit the images, and what is left out is labelled 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmvan.data.sample.ade20k import label
from mmvan.data.sample.catalog import GROUNDS, SAMPLE_SEGMENTS
from mmvan.data.sample.scenes import Scene, Thing

FOLDERS = {"training": 4, "validation": 2}


def test_annotations_are_single_channel_labels_of_the_images_sizes(sample_root: Path) -> None:
    values: set[int] = set()
    for folder, count in FOLDERS.items():
        images = sorted((sample_root / "ade20k/images" / folder).iterdir())
        masks = sorted((sample_root / "ade20k/annotations" / folder).iterdir())
        assert len(images) == len(masks) == count
        for image_path, mask_path in zip(images, masks, strict=True):
            assert image_path.stem == mask_path.stem
            with Image.open(image_path) as image, Image.open(mask_path) as mask:
                assert mask.mode == "L"
                assert mask.size == image.size
                values |= set(np.unique(np.asarray(mask)).tolist())
    assert 0 in values
    assert values <= set(range(len(SAMPLE_SEGMENTS) + 1))
    assert len(values) >= 7


def test_labels_of_ground_things_clutter_and_rims() -> None:
    ground = np.full((10, 20), 2, np.uint8)
    ground[:, 15:] = 0
    scene = Scene(np.zeros((10, 20, 3), np.float32), ground)
    scene.things += [Thing(3), Thing(-1)]
    scene.owner[2:8, 2:8] = 1
    scene.owner[2:8, 10:13] = 2
    labels = label(scene)
    thing = len(GROUNDS) + 1 + 3
    assert SAMPLE_SEGMENTS[thing - 1] == "speckled star"
    assert SAMPLE_SEGMENTS[labels[0, 0] - 1] == "grass"
    assert (labels[3:8, 3:8] == thing).all()
    assert (labels[2, 2:8] == 0).all()
    assert (labels[2:8, 2] == 0).all()
    assert (labels[:, 15:] == 0).all()
    assert (labels[2:8, 10:13] == 0).all()
    assert (labels[[0, 9], :15] == 2).all()


def test_mmseg_loads_it_and_ignores_zero(
    sample_root: Path, configs: dict[str, Callable[[Path], Config]]
) -> None:
    cfg = configs["seg"](sample_root)
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
    ]
    options = {"pipeline": pipeline, "reduce_zero_label": True}
    with DATASETS.switch_scope_and_registry("mmseg") as registry:
        dataset = registry.build(cfg.train_dataloader.dataset | options)
        assert len(dataset) == FOLDERS["training"]
        values = np.unique(np.concatenate([s["gt_seg_map"].ravel() for s in dataset]))
    assert 255 in values
    assert set(values[:-1]) <= set(range(len(SAMPLE_SEGMENTS)))
