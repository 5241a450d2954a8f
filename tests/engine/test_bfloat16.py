"""What of mmcv's operators --amp bf16 replaces, and what it refuses."""

from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmvan.engine import bfloat16
from mmvan.engine.bfloat16 import bfloat16_problems, use_torchvision_roi_align
from tests.configs.zoo import CONFIGS, load

DETECTION = CONFIGS / "detection"


def test_every_roi_align_becomes_the_other_one() -> None:
    model = load(DETECTION / "van_b_maskrcnn.py").model
    assert use_torchvision_roi_align(model) == 2
    heads = model.roi_head
    for extractor in (heads.bbox_roi_extractor, heads.mask_roi_extractor):
        assert extractor.roi_layer.use_torchvision is True
    assert use_torchvision_roi_align(model) == 0


def test_what_the_config_says_stays() -> None:
    layer = {"type": "RoIAlign", "output_size": 7, "use_torchvision": False}
    model = Config({"roi_layer": layer})
    assert use_torchvision_roi_align(model) == 0
    assert model.roi_layer.use_torchvision is False


@pytest.mark.parametrize(
    ("config", "key"),
    (
        ("van_b_retinanet.py", "model.bbox_head.loss_cls: FocalLoss"),
        ("van_b_atss_3x.py", "model.bbox_head.loss_cls: FocalLoss"),
    ),
)
def test_a_loss_without_bfloat16_is_named(config: str, key: str) -> None:
    # mmcv has no such operator on CPUs at all, where mmdet does not call it.
    (problem,) = bfloat16_problems(load(DETECTION / config).model, "mmdet", "cpu")
    assert problem.startswith(f"{key} has no bfloat16 on this device: sigmoid_focal_loss")


def test_what_computes_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[torch.device] = []
    monkeypatch.setattr(bfloat16, "_TRIALS", {"FocalLoss": tried.append})
    model: dict[str, Any] = {"loss_cls": {"type": "FocalLoss"}}
    assert list(bfloat16_problems(model, "mmseg", "cpu")) == []
    assert tried == [torch.device("cpu")]
    assert list(bfloat16_problems(model, "mmpretrain", "cpu")) == []
    assert len(tried) == 1


def test_deformable_attention_is_tried() -> None:
    """On CPUs mmcv has one in PyTorch, which computes in bfloat16."""
    model = {"pixel_decoder": {"type": "mmdet.MSDeformAttnPixelDecoder"}}
    assert list(bfloat16_problems(model, "mmseg", "cpu")) == []
