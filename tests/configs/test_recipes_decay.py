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
from mmvan.models.layers import LayerNorm2d
from tests.configs.published import (
    METHODS_1X,
    METHODS_3X,
    PANOPTIC,
    PUBLISHED,
    RECIPE,
    recipe_of,
)
from tests.configs.zoo import load


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


def spared_by_mask2former(model: nn.Module) -> set[str]:
    """Norms and embeddings (Mask2Former's WEIGHT_DECAY_NORM and WEIGHT_DECAY_EMBED are 0)."""
    kinds = (nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm, LayerNorm2d)
    spared = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    names = [f"{name}.{part}" for name in spared for part in ("weight", "bias")]
    # mmdet makes an embedding of what is a parameter in Mask2Former's pixel decoder.
    return set(names) & {n for n, _ in model.named_parameters() if "level_encoding" not in n}


RULES: dict[str, Callable[[nn.Module], set[str]]] = {
    "in1k": spared_by_timm,
    **{method: spared_by_name(method) for method in (*METHODS_1X, *METHODS_3X, "fpn", "upernet")},
    PANOPTIC: spared_by_mask2former,
}
CASES = [path for path in PUBLISHED if recipe_of(path) in RULES]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_weight_decay_spares_what_the_recipe_says(path: Path) -> None:
    cfg = load(path)
    method = recipe_of(path)
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    found = {name: decay[id(p)] for name, p in model.named_parameters()}
    published = RECIPE[method]["optimizer"]
    assert set(found.values()) <= {0, published["weight_decay"]}
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        slower = method == PANOPTIC and name.startswith("backbone.")
        assert rates[id(parameter)] == pytest.approx(published["lr"] / (10 if slower else 1)), name
    spared = {name for name, value in found.items() if value == 0}
    assert spared == RULES[method](model)
    assert len(spared) == expected_count(method, model)


def test_number_of_cases() -> None:
    assert len(CASES) == 44
    assert {recipe_of(path) for path in CASES} == set(RULES)


def expected_count(method: str, model: nn.Module) -> int:
    """Counted by hand: the tensors per block and per stage, and those of the heads."""
    depths = model.backbone.arch.depths
    # Three, but for the ablations.
    convs = len(list(model.backbone.stages[0].blocks[0].attn.lka.children()))
    # 4 of the norms per block; 4 per stage.
    of_van = 4 * sum(depths) + 4 * len(depths)
    return {
        # 4 of the norms, 2 layer scales, 5 biases and those of the attention map per block; 5 per
        # stage; the head's bias.
        "in1k": (11 + convs) * sum(depths) + 5 * len(depths) + 1,
        # The heads' norms are called `bn` and `gn`.
        **dict.fromkeys((*METHODS_1X, *METHODS_3X, "upernet"), of_van),
        # Pixel decoder: 5 norms of convolutions, 2 of each of 6 layers; decoder: 3 of each of 9
        # layers and 1 at its end; of queries and levels 3 embeddings.
        PANOPTIC: of_van + 2 * (5 + 2 * 6 + 3 * 9 + 1) + 3,
        "fpn": 0,
    }[method]
