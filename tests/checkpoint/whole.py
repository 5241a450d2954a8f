"""Small classifiers, detectors and segmentors from the project's configs, and files for them."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmvan.arch import get_arch
from mmvan.checkpoint.layouts import MMVAN, Layout
from tests.configs.zoo import find, load

SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
DEEPER = {**SMALL, "depths": [1, 1, 3, 1]}
WIDER = {**SMALL, "embed_dims": [8, 16, 32, 32]}
# Of each kind, what is made small and what follows the backbone's widths and the classes.
KINDS: dict[str, Callable[[list[int], int], dict[str, Any]]] = {
    "in1k": lambda dims, classes: {"head.in_channels": dims[-1], "head.num_classes": classes},
    "maskrcnn": lambda dims, classes: {
        "neck.in_channels": dims,
        "neck.out_channels": 8,
        "rpn_head.in_channels": 8,
        "rpn_head.feat_channels": 8,
        "roi_head.bbox_roi_extractor.out_channels": 8,
        "roi_head.mask_roi_extractor.out_channels": 8,
        "roi_head.bbox_head.in_channels": 8,
        "roi_head.bbox_head.fc_out_channels": 16,
        "roi_head.bbox_head.num_classes": classes,
        "roi_head.mask_head.in_channels": 8,
        "roi_head.mask_head.conv_out_channels": 8,
        "roi_head.mask_head.num_classes": classes,
    },
    "fpn": lambda dims, classes: {
        "neck.in_channels": dims,
        "neck.out_channels": 8,
        "decode_head.in_channels": [8] * 4,
        "decode_head.channels": 8,
        "decode_head.num_classes": classes,
        "decode_head.norm_cfg.type": "BN",
    },
    "upernet": lambda dims, classes: {
        "decode_head.in_channels": dims,
        "decode_head.channels": 8,
        "decode_head.num_classes": classes,
        "decode_head.norm_cfg.type": "BN",
        "auxiliary_head.in_channels": dims[2],
        "auxiliary_head.channels": 8,
        "auxiliary_head.num_classes": classes,
        "auxiliary_head.norm_cfg.type": "BN",
    },
}


@cache
def _config(kind: str) -> Config:
    return load(find(kind, "t"))


def build(
    kind: str, seed: int = 0, classes: int = 5, arch: dict[str, Any] = SMALL, **backbone: Any
) -> nn.Module:
    """A model of one of the project's configs, made small, with random weights."""
    config = copy.deepcopy(_config(kind))
    sizes = KINDS[kind](list(get_arch(arch).embed_dims), classes)
    config.merge_from_dict({f"model.{key}": value for key, value in sizes.items()})
    norm_cfg = {"type": "BN"}
    config.model.backbone.update({"arch": arch, "norm_cfg": norm_cfg, "init_cfg": None, **backbone})
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1)
    return model


def in_layout(model: nn.Module, layout: Layout) -> dict[str, Tensor]:
    """The file that the layout's own code base would have written of such a model."""
    state = model.state_dict()
    classifier = f"{MMVAN.head}.weight" in state
    prefix = layout.prefix if classifier else MMVAN.prefix
    file = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        if name.startswith(MMVAN.prefix):
            name = prefix + layout.key(name.removeprefix(MMVAN.prefix))
        elif module == MMVAN.head:
            name = f"{layout.head}.{leaf}"
        file[name] = tensor.clone()
    if classifier:
        file |= {f"{prefix}{module}.weight": torch.ones(32) for module in layout.idle}
        file |= {f"{prefix}{module}.bias": torch.zeros(32) for module in layout.idle}
    return file


def equal(model: nn.Module, expected: dict[str, Tensor], prefix: str = "") -> bool:
    """Whether a model, or its part under a prefix, holds exactly these tensors."""
    state = {key: value for key, value in model.state_dict().items() if key.startswith(prefix)}
    chosen = {key: value for key, value in expected.items() if key.startswith(prefix)}
    return state.keys() == chosen.keys() and all(torch.equal(state[k], chosen[k]) for k in state)
