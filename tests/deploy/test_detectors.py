"""A whole detector in a file finds what mmdet finds: the file is compared when it is written."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmvan.deploy.detectors import DetectorExport, open_export
from mmvan.deploy.export import DifferenceError, Export, Request
from mmvan.deploy.images import draw_images
from mmvan.engine.config import load_config
from mmvan.errors import DeployError
from tests.configs.zoo import CONFIGS
from tests.deploy.small import ARCH

SHAPE = (96, 128)
WIDTH = 32


def overrides_of(name: str) -> dict[str, Any]:
    """Narrow everywhere, with few proposals, and with scores that are far from each other."""
    small = {
        "model.backbone.arch": {"_delete_": True, **ARCH},
        "model.neck.in_channels": [8, 16, 24, 32],
    }
    if "maskrcnn" not in name:
        heads = {f"model.bbox_head.{key}": WIDTH for key in ("in_channels", "feat_channels")}
        return {**small, **heads, "model.neck.out_channels": WIDTH, "model.test_cfg.nms_pre": 50}
    return {**small, "model.test_cfg.rpn.nms_pre": 60, "model.test_cfg.rpn.max_per_img": 50}


def request_of(name: str, folder: Path, **options: Any) -> Request:
    config = str(CONFIGS / "detection" / f"{name}.py")
    cfg = load_config(config, overrides_of(name), ("model",))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model: Any = MODELS.build(cfg.model)
    for path, module in model.named_modules():
        if path.endswith("cls") and isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.normal_(0, 0.1)
            module.bias.data.zero_()
    file = folder / f"{name}.pth"
    torch.save({"state_dict": model.state_dict()}, file)
    images = folder / "images"
    images.mkdir(exist_ok=True)
    draw_images(images, 3)
    values: dict[str, Any] = {"shape": SHAPE, "threads": 1, "images": images, **options}
    return Request(
        config=config,
        checkpoint=str(file),
        format="onnx",
        out=folder / "van.onnx",
        overrides=overrides_of(name),
        part="whole",
        **values,
    )
