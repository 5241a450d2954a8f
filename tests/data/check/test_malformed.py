"""Each malformed file ends before the first step with a message, or trains and evaluates."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from PIL import Image

import mmvan.models  # noqa: F401, because it registers the backbone
from mmvan.data.check import DataError, check_datasets
from mmvan.location import config_dir
from tests.data.check.malformed import (
    CLASSES,
    HEIGHT,
    IMAGES,
    WIDTH,
    Malformed,
    malformed_coco,
    malformed_maps,
    sound_map,
)

SEED = 0
DIMS = [8, 16, 24, 32]
ARCH = {"embed_dims": DIMS, "depths": [1, 1, 1, 1], "ffn_ratios": [1, 1, 1, 1]}
MINIMUM = 60


def photos(folder: Path) -> None:
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(SEED).integers(0, 255, (IMAGES, HEIGHT, WIDTH, 3), np.uint8)
    for number, photo in enumerate(pixels):
        Image.fromarray(photo).save(folder / f"{number}.png")


def _config(scope: str, dataset: dict[str, Any], evaluator: dict[str, Any], model: Any) -> Config:
    def loader(test_mode: bool) -> dict[str, Any]:
        return {
            "batch_size": 2,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": {**dataset, "test_mode": test_mode},
        }

    parts = {"train_dataloader": loader(False), "val_dataloader": loader(True)}
    evaluators = {"val_evaluator": evaluator}
    return Config({"default_scope": scope, "model": model, **parts, **evaluators})


def detector(root: Path) -> Config:
    """Mask R-CNN, so that boxes and masks are learnt and evaluated."""
    model = Config.fromfile(config_dir() / "_base_/models/maskrcnn.py").model
    model.backbone.arch = ARCH
    model.backbone.init_cfg = None
    model.neck.update(in_channels=DIMS, out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    heads = model.roi_head
    heads.bbox_roi_extractor.out_channels = heads.mask_roi_extractor.out_channels = 16
    heads.bbox_head.update(num_classes=len(CLASSES), in_channels=16, fc_out_channels=16)
    heads.mask_head.update(
        num_classes=len(CLASSES), in_channels=16, conv_out_channels=16, num_convs=1
    )
    model.test_cfg.rcnn.max_per_img = 10
    model.train_cfg.rcnn.sampler.num = 16
    model.train_cfg.rpn_proposal.nms_pre = model.test_cfg.rpn.nms_pre = 20
    dataset = {
        "type": "CocoDataset",
        "ann_file": str(root / "coco.json"),
        "data_prefix": {"img": str(root / "images")},
        "metainfo": {"classes": CLASSES},
        "pipeline": [
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
            {
                "type": "PackDetInputs",
                "meta_keys": ("img_id", "ori_shape", "img_shape", "scale_factor"),
            },
        ],
    }
    dataset["pipeline"].insert(2, {"type": "Resize", "scale": (WIDTH, HEIGHT)})
    metrics = {"type": "CocoMetric", "ann_file": dataset["ann_file"], "metric": ["bbox", "segm"]}
    return _config("mmdet", dataset, metrics, model)


def segmentor(root: Path) -> Config:
    model = Config.fromfile(config_dir() / "_base_/models/fpn.py").model
    model.backbone.arch = ARCH
    model.backbone.init_cfg = None
    model.neck.update(in_channels=DIMS, out_channels=16)
    model.decode_head.update(
        in_channels=[16] * 4, channels=16, num_classes=len(CLASSES), norm_cfg={"type": "BN"}
    )
    dataset = {
        "type": "BaseSegDataset",
        "data_prefix": {"img_path": str(root / "images"), "seg_map_path": str(root / "maps")},
        "img_suffix": ".png",
        "reduce_zero_label": False,
        "metainfo": {"classes": CLASSES},
        "pipeline": [
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations"},
            {"type": "PackSegInputs"},
        ],
    }
    return _config("mmseg", dataset, {"type": "IoUMetric"}, model)


def run_an_epoch(cfg: Config, model: torch.nn.Module) -> None:
    """Trains on the training data and evaluates the validation data, as the Runner would."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)
    model.train()
    for batch in Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=SEED):
        data = model.data_preprocessor(batch, training=True)
        losses, _ = model.parse_losses(model(**data, mode="loss"))
        assert torch.isfinite(losses)
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()
    loader = Runner.build_dataloader(copy.deepcopy(cfg.val_dataloader), seed=SEED)
    evaluator = Evaluator([copy.deepcopy(dict(cfg.val_evaluator))])
    evaluator.dataset_meta = loader.dataset.metainfo
    model.eval()
    with torch.no_grad():
        for batch in loader:
            evaluator.process(data_samples=model.val_step(batch), data_batch=batch)
    assert evaluator.evaluate(len(loader.dataset))


def outcome(cfg: Config, model: torch.nn.Module, case: Malformed, file: Path) -> str:
    file.write_bytes(case.content)
    try:
        check_datasets(cfg, ("train", "val"))
    except DataError as error:
        text = str(error)
        assert case.place, f"{case.name}: refused, though harmless: {text}"
        assert case.place in text, f"{case.name}: {case.place} is not named: {text}"
        assert str(file if file.suffix == ".json" else file.parent) in text
        return "refused"
    assert not case.place, f"{case.name}: accepted"
    run_an_epoch(cfg, model)
    return "ran"


def test_malformed_files(tmp_path: Path) -> None:
    photos(tmp_path / "images")
    (tmp_path / "maps").mkdir()
    for number in range(IMAGES):
        Image.fromarray(sound_map()).save(tmp_path / "maps" / f"{number}.png")
    counts: dict[str, Counter[str]] = {}
    for kind, make, cases, file in (
        ("COCO files", detector, malformed_coco(SEED), tmp_path / "coco.json"),
        ("label maps", segmentor, malformed_maps(SEED), tmp_path / "maps/0.png"),
    ):
        cfg = make(tmp_path)
        init_default_scope(cfg.default_scope)
        torch.manual_seed(SEED)
        model = MODELS.build(copy.deepcopy(cfg.model))
        counts[kind] = Counter(outcome(cfg, model, case, file) for case in cases)
    print({kind: dict(count) for kind, count in counts.items()})
    assert all(count["ran"] and count["refused"] for count in counts.values())
    assert sum(count.total() for count in counts.values()) >= MINIMUM


@pytest.mark.parametrize(
    ("values", "reduced", "message"),
    (
        ((0, 255), False, "nothing but 0 and 255 in 4 label maps"),
        ((0, 255), True, "nothing but 0 and 255 in 4 label maps"),
        ((0, 1, 2), True, "labels 0 to 2 in 4 label maps, and 3 in none"),
        ((1, 2, 3), False, "set reduce_zero_label=True"),
        ((0, 1, 2), False, ""),
        ((1, 2, 3), True, ""),
        ((0, 1, 255), False, ""),
    ),
)
def test_labels_of_all_maps_together(
    tmp_path: Path, values: tuple[int, ...], reduced: bool, message: str
) -> None:
    photos(tmp_path / "images")
    (tmp_path / "maps").mkdir()
    for number in range(IMAGES):
        labels = np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH))
        Image.fromarray(labels).save(tmp_path / "maps" / f"{number}.png")
    cfg = segmentor(tmp_path)
    cfg.train_dataloader.dataset.reduce_zero_label = reduced
    if not message:
        check_datasets(cfg, ("train",))
        return
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, ("train",))
    assert message in str(caught.value)
    assert str(tmp_path / "maps") in str(caught.value)
