"""Which parameters weight decay spares, on the real models, against the published rules."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from timm.optim import param_groups_weight_decay
from torch import nn

from mmvan.checkpoint.layouts import OFFICIAL
from tests.configs.published import RECIPE
from tests.configs.zoo import REFERENCE, load, method_and_size


def spared_by_timm(model: nn.Module) -> set[str]:
    """One-dimensional parameters and biases, by the function that the authors' script calls."""
    assert RECIPE["in1k"]["no_weight_decay_on"].startswith("every 1-D parameter")
    weight_decay = RECIPE["in1k"]["optimizer"]["weight_decay"]
    spared, decayed = param_groups_weight_decay(model, weight_decay)
    assert (spared["weight_decay"], decayed["weight_decay"]) == (0, weight_decay)
    ids = {id(parameter) for parameter in spared["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in ids}


def spared_by_name(method: str) -> Callable[[nn.Module], set[str]]:
    """Parameters with one of the recipe's words in the name that the authors' code gives them."""

    def spared(model: nn.Module) -> set[str]:
        words = RECIPE[method]["optimizer"].get("no_decay", [])
        names = {name: official_name(name) for name, _ in model.named_parameters()}
        return {own for own, name in names.items() if any(word in name for word in words)}

    return spared


def official_name(name: str) -> str:
    prefix, backbone, rest = name.partition("backbone.")
    return f"{prefix}{backbone}{OFFICIAL.key(rest)}" if backbone else name


RULES: dict[str, Callable[[nn.Module], set[str]]] = {
    "in1k": spared_by_timm,
    **{method: spared_by_name(method) for method in ("maskrcnn", "fpn", "upernet")},
}


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_weight_decay_spares_what_the_recipe_says(path: Path) -> None:
    cfg = load(path)
    method, _ = method_and_size(path)
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    found = {name: decay[id(p)] for name, p in model.named_parameters()}
    published = RECIPE[method]["optimizer"]
    assert set(found.values()) <= {0, published["weight_decay"]}
    assert {group["lr"] for group in groups} == {published["lr"]}
    spared = {name for name, value in found.items() if value == 0}
    assert spared == RULES[method](model)
    assert len(spared) == expected_count(method, model)


def expected_count(method: str, model: nn.Module) -> int:
    """Counted by hand: the tensors per block and per stage, and those of the heads."""
    depths = model.backbone.arch.depths
    return {
        # 4 of the norms, 2 layer scales and 8 biases per block; 5 per stage; the head's bias.
        "in1k": 14 * sum(depths) + 5 * len(depths) + 1,
        # 4 of the norms per block; 4 per stage. The heads' norms are called `bn`.
        "maskrcnn": 4 * sum(depths) + 4 * len(depths),
        "fpn": 0,
        "upernet": 4 * sum(depths) + 4 * len(depths),
    }[method]
