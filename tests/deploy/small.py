"""Small models of the three tasks as files, and requests to export them."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope

from mmvan.deploy.export import Request
from mmvan.deploy.formats import FORMATS
from mmvan.engine.config import load_config
from tests.configs.zoo import CONFIGS

ARCH = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "ffn_ratios": [2, 2, 2, 2]}
BACKBONE = {"model.backbone.arch": {"_delete_": True, **ARCH}}
CONFIG_FILES = {
    "classification": "classification/van_t_in1k_sample.py",
    "segmentation": "segmentation/van_t_fpn_sample.py",
    "detection": "detection/van_t_maskrcnn_sample.py",
}
OVERRIDES: dict[str, dict[str, Any]] = {
    "classification": {**BACKBONE, "model.head.in_channels": 32},
    "segmentation": {**BACKBONE, "model.neck.in_channels": [8, 16, 24, 32]},
    "detection": {**BACKBONE, "model.neck.in_channels": [8, 16, 24, 32]},
}
SHAPE = (64, 96)


def config_of(task: str) -> str:
    return str(CONFIGS / CONFIG_FILES[task])


def overrides_of(task: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return deepcopy({**OVERRIDES[task], **(changes or {})})  # MMEngine takes _delete_ out.


def write_checkpoint_of(task: str, folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """The weights of a small model whose statistics and scales are not the first ones."""
    torch.manual_seed(0)
    cfg = load_config(config_of(task), overrides_of(task, changes), ("model",))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    for name, tensor in model.state_dict().items():
        if "layer_scale" in name:
            tensor.normal_(0.1, 0.5)
        elif "running_var" in name:
            tensor.uniform_(0.5, 1.5)
        elif "running_mean" in name:
            tensor.normal_(0, 0.5)
    file = folder / f"{task}.pth"
    torch.save({"state_dict": model.state_dict()}, file)
    return file


def request(
    task: str,
    checkpoint: Path,
    form: str,
    folder: Path,
    changes: Mapping[str, Any] | None = None,
    **options: Any,
) -> Request:
    values: dict[str, Any] = {"shape": SHAPE, "threads": 1, **options}
    return Request(
        config=config_of(task),
        checkpoint=str(checkpoint),
        format=form,
        out=folder / f"van{FORMATS[form].ending}",
        overrides=overrides_of(task, changes),
        **values,
    )
