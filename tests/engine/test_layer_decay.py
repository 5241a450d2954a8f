"""Layer-wise decay of the learning rate in the models of all three libraries."""

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.errors import ConfigError
from tests.configs.zoo import ARCH_OF_SIZE, LEAVES, find, load

RATE = 0.9
DECAY = {
    "constructor": "mmvan.LayerDecayOptimWrapperConstructor",
    "paramwise_cfg": {"layer_decay_rate": RATE},
}
# One config of each size for classification, and one of each other method.
CASES = [("in1k", size) for size in ARCH_OF_SIZE]
CASES += [("maskrcnn", "t"), ("fpn", "t"), ("upernet", "b5")]
# VAN-B0 has 3, 3, 5 and 2 blocks: by how many layers a tensor is away from the head.
AWAY_IN_B0 = {
    "stages.0.embed.proj.weight": 14,
    "stages.0.embed.norm.bias": 14,
    "stages.0.blocks.0.norm1.weight": 13,
    "stages.0.blocks.2.layer_scale_2": 11,
    "stages.0.norm.weight": 11,
    "stages.1.embed.proj.bias": 10,
    "stages.1.blocks.0.attn.lka.dw_conv.weight": 10,
    "stages.2.blocks.0.ffn.fc1.weight": 7,
    "stages.2.norm.bias": 3,
    "stages.3.embed.proj.weight": 2,
    "stages.3.blocks.1.attn.proj_2.bias": 1,
    "stages.3.norm.weight": 1,
}


def build(cfg: Config) -> nn.Module:
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        return MODELS.build(cfg.model)


def settings_by_name(model: nn.Module, optim_wrapper: Any) -> dict[str, dict[str, float]]:
    """Learning rate and weight decay of every parameter that is trained."""
    groups = build_optim_wrapper(model, optim_wrapper).param_groups
    found = {id(group["params"][0]): group for group in groups}
    assert len(found) == len(groups)
    return {
        name: {key: found[id(p)][key] for key in ("lr", "weight_decay")}
        for name, p in model.named_parameters()
        if id(p) in found
    }


@pytest.mark.parametrize("arch", ARCHS)
def test_every_block_is_a_layer(arch: str) -> None:
    with torch.device("meta"):
        backbone = VAN(arch)
    layers: dict[int, set[str]] = {}
    for name, _ in backbone.named_parameters():
        layer, number = backbone.get_layer_depth(f"backbone.{name}", "backbone.")
        assert (layer, number) == backbone.get_layer_depth(name)
        assert number == sum(ARCHS[arch].depths) + 2
        part = name.split(".")[:4] if ".blocks." in name else name.split(".")[:3]
        layers.setdefault(layer, set()).add(".".join(part))
    assert sorted(layers) == list(range(sum(ARCHS[arch].depths) + 1))
    blocks = [[name for name in sorted(names) if ".blocks." in name] for names in layers.values()]
    order = [f"stages.{i}.blocks.{j}" for i, n in enumerate(ARCHS[arch].depths) for j in range(n)]
    assert blocks == [[], *([name] for name in order)]
    for outside in ("neck.convs.0.weight", "decode_head.conv_seg.weight", "stages_of_another"):
        layer, number = backbone.get_layer_depth(outside, "backbone.")
        assert layer == number - 1


def test_layers_of_stages_that_are_not_built_do_not_count() -> None:
    backbone = VAN("b0", out_indices=(1,))
    assert backbone.get_layer_depth("stages.1.blocks.2.norm1.bias") == (6, 8)


@pytest.mark.parametrize(("method", "size"), CASES)
def test_rates_fall_from_the_head_to_the_stem(method: str, size: str) -> None:
    cfg = load(find(method, size))
    model = build(cfg)
    cfg.optim_wrapper.setdefault("paramwise_cfg", {"norm_decay_mult": 0.0})
    plain = settings_by_name(model, cfg.optim_wrapper)
    cfg.merge_from_dict({"optim_wrapper": DECAY})
    found = settings_by_name(model, cfg.optim_wrapper)
    assert set(found) == {name for name, _ in model.named_parameters()}
    base, depths = cfg.optim_wrapper.optimizer.lr, ARCHS[ARCH_OF_SIZE[size]].depths
    rates = {name: settings["lr"] / base for name, settings in found.items()}
    heads = {rate for name, rate in rates.items() if not name.startswith("backbone.")}
    assert heads == {1.0}
    for i, depth in enumerate(depths):
        for j in range(depth):
            rate = RATE ** (sum(depths[i:]) - j)
            for part in ("norm1.weight", "attn.lka.dw_d_conv.weight", "layer_scale_2"):
                assert rates[f"backbone.stages.{i}.blocks.{j}.{part}"] == pytest.approx(rate)
    assert min(rates.values()) == pytest.approx(RATE ** (sum(depths) + 1))
    assert len(set(rates.values())) == sum(depths) + 2
    # The rules for weight decay are untouched.
    for name, settings in plain.items():
        assert found[name]["weight_decay"] == settings["weight_decay"], name
    assert len({settings["weight_decay"] for settings in plain.values()}) == 2


def test_number_of_cases() -> None:
    assert len(CASES) == 10
    assert {load(find(*case)).default_scope for case in CASES} == {"mmpretrain", "mmdet", "mmseg"}


def test_rates_of_b0_by_hand() -> None:
    cfg = load(find("in1k", "t"))
    cfg.merge_from_dict({"optim_wrapper": DECAY})
    found = settings_by_name(build(cfg), cfg.optim_wrapper)
    for name, away in AWAY_IN_B0.items():
        assert found[f"backbone.{name}"]["lr"] == pytest.approx(1e-3 * RATE**away), name


def test_mmpretrains_own_constructor_agrees() -> None:
    cfg = load(find("in1k", "s"))
    cfg.merge_from_dict({"optim_wrapper": DECAY})
    model = build(cfg)
    ours = settings_by_name(model, cfg.optim_wrapper)
    cfg.optim_wrapper.constructor = "mmpretrain.LearningRateDecayOptimWrapperConstructor"
    theirs = settings_by_name(model, cfg.optim_wrapper)
    assert set(ours) == set(theirs)
    for name, settings in theirs.items():
        assert ours[name] == pytest.approx(settings), name


def test_factors_of_names_are_kept_and_frozen_stages_are_left_out() -> None:
    cfg = load(find("upernet", "t"))
    cfg.model.backbone.frozen_stages = 1
    keys = {"decode_head": {"lr_mult": 10.0}, "norm": {"lr_mult": 0.5, "decay_mult": 0.0}}
    cfg.merge_from_dict({"optim_wrapper": DECAY})
    cfg.optim_wrapper.paramwise_cfg.custom_keys = keys
    model = build(cfg)
    found = settings_by_name(model, cfg.optim_wrapper)
    assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any(name.startswith(("backbone.stages.0.", "backbone.stages.1.")) for name in found)
    rates = {name: settings["lr"] / 6e-5 for name, settings in found.items()}
    assert rates["decode_head.conv_seg.weight"] == pytest.approx(10)
    assert rates["auxiliary_head.conv_seg.weight"] == pytest.approx(1)
    assert rates["backbone.stages.3.norm.weight"] == pytest.approx(0.5 * RATE)
    assert found["backbone.stages.3.norm.weight"]["weight_decay"] == 0


def test_it_is_off_by_default() -> None:
    constructors = [load(path).optim_wrapper.get("constructor") for path in LEAVES]
    assert constructors == [None] * len(LEAVES)
    assert len(constructors) >= 56


@pytest.mark.parametrize("rate", (None, 0, 1.5, "0.9"))
def test_a_rate_out_of_its_range_is_named(rate: Any) -> None:
    wrapper = {**DECAY, "optimizer": {"type": "AdamW", "lr": 1e-4}}
    wrapper["paramwise_cfg"] = {"layer_decay_rate": rate}
    with pytest.raises(ConfigError, match=f"layer_decay_rate is {rate!r}; .* above 0 and at most"):
        build_optim_wrapper(nn.Linear(1, 1), wrapper)


@pytest.mark.parametrize(
    ("model", "optimizer", "message"),
    (
        (nn.Linear(1, 1), {"lr": 1e-4}, "Linear has no backbone; expected a backbone with"),
        (nn.ModuleDict({"backbone": nn.Linear(1, 1)}), {"lr": 1e-4}, "ModuleDict has Linear; "),
        (nn.Linear(1, 1), {}, r"optim_wrapper\.optimizer\.lr is not set"),
    ),
)
def test_what_cannot_decay_is_named(
    model: nn.Module, optimizer: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_optim_wrapper(model, {**DECAY, "optimizer": {"type": "AdamW", **optimizer}})
