"""The fused AdamW of the schedules: the same steps as the plain one, whatever is around it."""

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import Tensor, nn

from mmvan import VAN
from tests.configs.published import PANOPTIC
from tests.configs.zoo import LEAVES, find, load

STEPS = 20
ARCH = {"embed_dims": [8, 16], "depths": [1, 1], "ffn_ratios": [2, 2]}
DECAY = {"constructor": "mmvan.LayerDecayOptimWrapperConstructor"}
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("fpn", {}),
    "accumulated": ("upernet", {"accumulative_counts": 2}),
    "parameter-wise": ("in1k", {}),
    "by layer": ("in1k", {**DECAY, "paramwise_cfg": {"layer_decay_rate": 0.9}}),
    "clipped": (PANOPTIC, {}),
}


def settings(recipe: str, fused: bool) -> ConfigDict:
    method, changes = RECIPES[recipe]
    chosen = load(find(method, "b")).optim_wrapper
    chosen.update(changes)
    chosen.optimizer.fused = fused
    return chosen


class Net(nn.Module):
    """A small model in which no gradient is rounding alone, as those of biases before BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = VAN(ARCH, norm_eval=True)
        self.head = nn.Conv2d(16, 2, 1)
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x)[-1])


def train(model: nn.Module, wrapper: OptimWrapper, steps: range) -> dict[str, Tensor]:
    for step in steps:
        torch.manual_seed(step)
        with wrapper.optim_context(model):
            loss = model(torch.randn(2, 3, 32, 32)).square().mean()
        wrapper.update_params(loss)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_every_config_trains_with_it() -> None:
    optimizers = [load(path).optim_wrapper.optimizer for path in LEAVES]
    assert len(optimizers) >= 36
    assert all(o.type == "AdamW" and o.fused is True for o in optimizers)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_steps_are_the_plain_ones(recipe: str) -> None:
    results = []
    for fused in (True, False):
        model = Net()
        wrapper = build_optim_wrapper(model, settings(recipe, fused))
        assert all(group["fused"] is fused for group in wrapper.param_groups)
        results.append(train(model, wrapper, range(STEPS)))
    torch.testing.assert_close(*results, rtol=0, atol=1e-6)
    start = dict(Net().named_parameters())
    assert not any(torch.equal(p, start[name]) for name, p in results[0].items())


@pytest.mark.parametrize("fused", (True, False))
def test_a_run_goes_on_from_the_other_kind(fused: bool) -> None:
    """The state of an optimizer says of which kind it was, and stays so."""
    model = Net()
    before = build_optim_wrapper(model, settings("plain", fused))
    train(model, before, range(STEPS // 2))
    after = build_optim_wrapper(model, settings("plain", not fused))
    after.load_state_dict(before.state_dict())
    assert all(group["fused"] is fused for group in after.param_groups)
    found = train(model, after, range(STEPS // 2, STEPS))

    model = Net()
    expected = train(model, build_optim_wrapper(model, settings("plain", fused)), range(STEPS))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_step_with_overflow_is_left_out() -> None:
    """With the gradient scaler of float16, which gives its findings to the fused kernel."""
    model = nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15)
    before = model.weight.detach().clone()
    for factor, moved in ((float("inf"), False), (1.0, True)):
        optimizer.zero_grad()
        scaler.scale((model(torch.ones(2, 3)) * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(model.weight, before) is not moved
    assert scaler.get_scale() == 2.0**14
