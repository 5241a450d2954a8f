"""A whole detector in a file finds what mmdet finds: the file is compared when it is written."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmvan.deploy.detectors import DetectorExport, open_export
from mmvan.deploy.export import Export, Request
from mmvan.deploy.mmdeploy_compat import mmdeploy_on_current_torch
from mmvan.engine.config import load_config
from mmvan.errors import DeployError
from tests.configs.zoo import CONFIGS
from tests.deploy.small import ARCH

SHAPE = (96, 128)
WIDTH = 64  # Of 32 groups, each with more than one value.


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


def write_noise(folder: Path, count: int) -> None:
    """Images without even areas: there scores would be equal, and the choice among them free."""
    rng = np.random.default_rng(0)
    for number in range(count):
        image = rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)


def request_of(name: str, folder: Path, **options: Any) -> Request:
    config = str(CONFIGS / "detection" / f"{name}.py")
    cfg = load_config(config, overrides_of(name), ("model",))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model: Any = MODELS.build(cfg.model)
    for path, module in model.named_modules():
        if path.endswith("cls") and isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.normal_(0, 0.02 if "retina" in path else 0.1)
            module.bias.data.zero_()
        elif "cls_convs" in path and isinstance(module, nn.Conv2d):
            # The first weights make all of RetinaNet's scores equal but for rounding.
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    file = folder / f"{name}.pth"
    torch.save({"state_dict": model.state_dict()}, file)
    images = folder / "images"
    images.mkdir(exist_ok=True)
    write_noise(images, 3)
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


# GFL's head, unlike the others, predicts distributions; a cascade refines its regions.
@pytest.mark.slow
@pytest.mark.parametrize("name", ("van_t_maskrcnn_sample", "van_t_retinanet", "van_b_gfl_3x"))
def test_the_file_finds_what_mmdet_finds(name: str, tmp_path: Path) -> None:
    pytest.importorskip("mmdeploy", reason="the extra deploy-detection is not installed")
    export = open_export(request_of(name, tmp_path, folded=True))
    assert isinstance(export, DetectorExport)
    (said,) = export.write()
    assert "100.00% of " in said
    proto = onnx.load(export.request.out)
    assert {node.domain for node in proto.graph.node} == {""}  # No library of operators is needed.


# As docs/deploy.md has it.
DEPLOY: dict[str, Any] = {
    "onnx_config": {
        "type": "onnx",
        "opset_version": 17,
        "keep_initializers_as_inputs": False,
        "input_names": ["input"],
        "output_names": ["dets", "labels"],
        "input_shape": None,
        "dynamic_axes": {"input": {0: "batch", 2: "height", 3: "width"}},
    },
    "codebase_config": {
        "type": "mmdet",
        "task": "ObjectDetection",
        "model_type": "end2end",
        "post_processing": {
            "score_threshold": 0.05,
            "iou_threshold": 0.5,
            "max_output_boxes_per_class": 200,
            "pre_top_k": 5000,
            "keep_top_k": 100,
            "background_label_id": -1,
            "export_postprocess_mask": False,
        },
    },
    "backend_config": {"type": "onnxruntime"},
}


@pytest.mark.slow
def test_mmdeploys_own_export_runs_with_what_it_misses(tmp_path: Path) -> None:
    pytest.importorskip("mmdeploy", reason="the extra deploy-detection is not installed")
    from mmdeploy.apis import torch2onnx

    asked = request_of("van_t_retinanet", tmp_path)
    config = load_config(asked.config, asked.overrides, ("model", "test_pipeline"))
    config.test_pipeline[1].scale = SHAPE[::-1]
    image = tmp_path / "images" / "0.png"
    before = torch.onnx.export
    with mmdeploy_on_current_torch():
        arguments = (str(image), str(tmp_path), "own.onnx", Config(deepcopy(DEPLOY)), config)
        torch2onnx(*arguments, asked.checkpoint, "cpu")
    assert torch.onnx.export is before
    session = onnxruntime.InferenceSession(
        tmp_path / "own.onnx", providers=["CPUExecutionProvider"]
    )
    dets, labels = session.run(None, {"input": np.zeros((2, 3, *SHAPE), np.float32)})
    assert dets.shape == (*labels.shape, 5)
    assert len(dets) == 2


def test_what_cannot_be_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="--format onnx in --precision fp32, got onnx in fp16"):
        open_export(request_of("van_t_maskrcnn_sample", tmp_path, precision="fp16"))
    features = replace(request_of("van_t_maskrcnn_sample", tmp_path), part="features")
    assert isinstance(open_export(features), Export)
