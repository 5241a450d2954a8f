"""The inference form computes what the model computes, in every size and with every option."""

import copy
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.deploy import fold
from mmvan.deploy.fold import FoldedBlock, FoldedVAN
from mmvan.engine.config import load_config
from mmvan.errors import ModelError
from tests.configs.zoo import CONFIGS

SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}


def trained(**options: Any) -> VAN:
    """A backbone whose statistics and scales are not the first ones."""
    torch.manual_seed(0)
    model = VAN(**{"arch": SMALL, **options})
    for name, tensor in model.state_dict().items():
        if "layer_scale" in name:
            tensor.normal_(0.1, 0.5)
        elif "running_mean" in name or name.endswith(("norm1.bias", "norm2.bias")):
            tensor.normal_(0, 0.5)
        elif "running_var" in name or name.endswith(("norm1.weight", "norm2.weight")):
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def largest_difference(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    """Relative to the largest value of each map."""
    assert len(one) == len(other) > 0
    pairs = zip(one, other, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("layer_scale", (1e-2, None))
@pytest.mark.parametrize("arch", ARCHS)
def test_every_size_computes_the_same(arch: str, layer_scale: float | None) -> None:
    model = trained(arch=arch, layer_scale_init_value=layer_scale)
    folded = fold(model)
    x = torch.randn(2, 3, 65, 47)
    with torch.no_grad():
        assert largest_difference(folded(x), model(x)) < 1e-5
    assert not any(isinstance(module, _BatchNorm) for module in folded.modules())
    assert sum(isinstance(m, FoldedBlock) for m in folded.modules()) == sum(ARCHS[arch].depths)


@pytest.mark.parametrize(
    "options",
    (
        {"norm_cfg": {"type": "SyncBN"}},
        {"norm_cfg": {"type": "BN", "affine": False}},
        {"channels_last": True},
        {"out_indices": (2, 0)},
        {"lka_cfg": {"gate": "add", "sigmoid": True}},
        {"lka_cfg": {"kernel_size": 28, "dilation": 4}},
        {"frozen_stages": 1, "drop_path_rate": 0.3, "drop_rate": 0.1},
        {"act_cfg": {"type": "ReLU", "inplace": True}},
    ),
    ids=str,
)
def test_every_option_computes_the_same(options: dict[str, Any]) -> None:
    model = trained(**options)
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    x = torch.randn(2, 3, 40, 33)
    with torch.no_grad():
        outputs = folded(x)
        assert largest_difference(outputs, model(x)) < 1e-5
    assert (folded.out_channels, folded.out_strides) == (model.out_channels, model.out_strides)
    assert all(out.is_contiguous() for out in outputs)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "config",
    ("classification/van_t_in1k.py", "detection/van_t_maskrcnn.py", "segmentation/van_t_fpn.py"),
)
def test_whole_models_are_folded(config: str) -> None:
    cfg = load_config(str(CONFIGS / config), None, ("model",))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).eval()
    folded = fold(model)
    assert type(folded) is type(model)
    assert isinstance(folded.backbone, FoldedVAN)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert largest_difference(folded.extract_feat(x), model.extract_feat(x)) < 1e-5
    saved = folded.state_dict()
    assert folded.load_state_dict(saved)


def test_what_cannot_be_folded_is_refused() -> None:
    with pytest.raises(ModelError, match="the model is in training mode"):
        fold(trained().train())
    partly = nn.Sequential(trained())
    partly[0].stages[2].train()
    with pytest.raises(ModelError, match=r"0 is in training mode \(stages\.2\)"):
        fold(partly)
    with pytest.raises(ModelError, match=r"Linear has no mmvan\.VAN inside"):
        fold(nn.Linear(1, 1))
    with pytest.raises(ModelError, match=r"needs BatchNorm with running statistics.*GroupNorm"):
        fold(trained(norm_cfg={"type": "GN", "num_groups": 4}))
