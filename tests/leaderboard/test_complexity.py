"""Costs by hand, by mmcv's own function, and by figures that others published."""

from typing import Any

import pytest
import torch
from mmcv.cnn import get_model_complexity_info
from mmengine.config import Config
from torch import nn

from mmvan.leaderboard.complexity import (
    BOX_PROPOSALS,
    MASK_PROPOSALS,
    build_without_weights,
    count_flops,
    measure,
)
from mmvan.models.layers import LayerNorm2d
from mmvan.ops import make_depthwise_conv
from tests.configs.zoo import find, load

N, C, H, W = 1, 8, 10, 12
MAP = C * H * W

RESNET = {
    "type": "ResNet",
    "depth": 50,
    "num_stages": 4,
    "out_indices": (0, 1, 2, 3),
    "frozen_stages": 1,
    "norm_cfg": {"type": "BN", "requires_grad": True},
    "norm_eval": True,
    "style": "pytorch",
}
RETINANET = {
    "type": "RetinaNet",
    "backbone": RESNET,
    "neck": {
        "type": "FPN",
        "in_channels": [256, 512, 1024, 2048],
        "out_channels": 256,
        "start_level": 1,
        "add_extra_convs": "on_input",
        "num_outs": 5,
    },
    "bbox_head": {
        "type": "RetinaHead",
        "num_classes": 80,
        "in_channels": 256,
        "stacked_convs": 4,
        "feat_channels": 256,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "octave_base_scale": 4,
            "scales_per_octave": 3,
            "ratios": [0.5, 1.0, 2.0],
            "strides": [8, 16, 32, 64, 128],
        },
    },
}


@pytest.mark.parametrize(
    ("layer", "flops"),
    (
        (nn.Conv2d(C, 4, 3, padding=1), 4 * H * W * (9 * C + 1)),
        (nn.Conv2d(C, 4, 3, stride=2, padding=1, bias=False), 4 * 5 * 6 * 9 * C),
        (nn.Conv2d(C, C, 1, groups=2), MAP * (C // 2 + 1)),
        (nn.ConvTranspose2d(C, 4, 2, stride=2), 4 * H * W * (4 * C + 4)),
        (make_depthwise_conv(C, 5), MAP * (25 + 1)),
        (make_depthwise_conv(C, 7, dilation=3), MAP * (49 + 1)),
        (nn.Linear(W, 5), C * H * W * 5),
        (nn.BatchNorm2d(C), 2 * MAP),
        (LayerNorm2d(C), 2 * MAP),
        (nn.ReLU(), MAP),
        (nn.AdaptiveAvgPool2d(1), MAP),
        (nn.GELU(), 0),
        (nn.SyncBatchNorm(C), 0),
        (nn.Identity(), 0),
    ),
)
def test_a_layer_costs_what_the_convention_says(layer: nn.Module, flops: int) -> None:
    layer = nn.Sequential(layer).to("meta").eval()
    image = torch.empty(N, C, H, W, device="meta")
    assert count_flops(layer, lambda: layer(image)) == flops
    # Nothing is left behind: a second count is the same.
    assert count_flops(layer, lambda: layer(image)) == flops
    assert not any("__flops__" in vars(module) for module in layer.modules())


@pytest.mark.smoke
def test_plain_layers_count_as_in_mmcv_itself() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.LayerNorm(200), nn.Linear(200, 10),
    )  # fmt: skip
    theirs, params = get_model_complexity_info(
        model, (3, 12, 12), print_per_layer_stat=False, as_strings=False
    )
    image = torch.empty(1, 3, 12, 12, device="meta")
    model = model.to("meta")
    assert count_flops(model, lambda: model(image)) == theirs
    assert sum(p.numel() for p in model.parameters()) == params


@pytest.mark.smoke
def test_retinanet_costs_what_mmdet_documents() -> None:
    """R50 at 1280 x 800 is the example of mmdet 2.x's tool: 239.32 GFLOPs, 37.74 M parameters."""
    cost = measure(Config({"default_scope": "mmdet", "model": RETINANET}), (1280, 800))
    assert cost.flops is not None
    assert (round(cost.flops / 1e9, 2), round(cost.params / 1e6, 2)) == (239.32, 37.74)


@pytest.mark.smoke
def test_mask_rcnn_costs_what_two_papers_print() -> None:
    """VAN-B2 273 G (arXiv 2202.09741), ResNet-50 260 G and 44 M (Swin, arXiv 2103.14030)."""
    path = find("maskrcnn", "b")
    ours = measure(load(path), (1280, 800))
    cfg = load(path)
    cfg.model.backbone = RESNET
    cfg.model.neck.in_channels = [256, 512, 1024, 2048]
    resnet = measure(cfg, (1280, 800))
    assert [round(cost.flops / 1e9) for cost in (ours, resnet) if cost.flops] == [273, 260]
    assert [round(cost.params / 1e6) for cost in (ours, resnet)] == [46, 44]


def heads_on(stages: int) -> Config:
    """Mask R-CNN with the standard heads, or a cascade of several times the same heads."""
    cfg = load(find("maskrcnn", "t"))
    if stages > 1:
        heads = cfg.model.roi_head
        heads.update(type="CascadeRoIHead", num_stages=stages, stage_loss_weights=[1.0] * stages)
        heads.bbox_head = [heads.bbox_head] * stages
        heads.mask_head = [heads.mask_head] * stages
    return cfg


def test_the_second_stage_costs_its_heads_on_fixed_numbers_of_regions() -> None:
    boxes = 12544 * 1024 + 1024 * 1024 + 1024 * (81 + 320) + 2 * 1024
    convs = 4 * 14 * 14 * 256 * (256 * 9 + 1 + 1)
    upsample = 14 * 14 * 4 * 256 * 256 + 28 * 28 * 256 * 2
    masks = convs + upsample + 28 * 28 * 80 * 257
    second_stage = BOX_PROPOSALS * boxes + MASK_PROPOSALS * masks
    model: Any = build_without_weights(heads_on(1))
    image = torch.empty(1, 3, 64, 64, device="meta")
    first_stage = count_flops(model, lambda: model.rpn_head(model.extract_feat(image)))
    costs = [measure(heads_on(stages), (64, 64)).flops for stages in (1, 2)]
    assert costs == [first_stage + second_stage, first_stage + 2 * second_stage]


def test_sync_bn_counts_in_detectors_but_not_in_segmentors() -> None:
    """As in the models that the published figures are of; see docs/audit.md."""
    kinds = {
        task: {type(m).__name__ for m in build_without_weights(load(path)).modules()}
        for task, path in (("detection", find("maskrcnn", "t")), ("segmentation", find("fpn", "t")))
    }
    assert "BatchNorm2d" in kinds["detection"]
    assert "SyncBatchNorm" not in kinds["detection"]
    assert "SyncBatchNorm" in kinds["segmentation"]
    assert "BatchNorm2d" not in kinds["segmentation"]


def test_a_model_is_built_without_memory() -> None:
    model = build_without_weights(load(find("upernet", "b6")))
    devices = {p.device.type for p in (*model.parameters(), *model.buffers())}
    assert devices == {"meta"}
    assert not model.training


class LooksAtValues(nn.Module):
    """A stand-in for models whose cost depends on what they see."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5))

    def forward(self, images: torch.Tensor, mode: str) -> float:
        assert mode == "tensor"
        return images.sum().item()


def test_a_cost_that_shapes_do_not_tell_is_not_guessed() -> None:
    cfg = Config({"default_scope": "mmdet", "model": {"type": LooksAtValues}})
    cost = measure(cfg, (8, 8))
    assert (cost.params, cost.flops) == (5, None)
    assert "FLOPs depend on more than shapes" in cost.note
