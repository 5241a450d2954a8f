"""The compiled backbone: one graph, the same numbers, the same names, few recompilations."""

import copy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS
from torch import Tensor, nn
from torch._dynamo.utils import counters

from mmvan import VAN
from mmvan.engine.compilation import CompileBackboneHook
from mmvan.errors import ConfigError
from mmvan.ops import use_backend

ARCH = {"embed_dims": [8, 16], "depths": [1, 1], "ffn_ratios": [2, 2]}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"channels_last": "auto", "with_cp": "lean"},
    {"frozen_stages": 0, "with_cp": True},
    {"norm_eval": True, "drop_path_rate": 0.5, "drop_rate": 0.1, "with_cp": "lean"},
)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def start(model: nn.Module, **options: Any) -> None:
    """Let the hook do what it does when a run starts."""
    hook = HOOKS.build({"type": "mmvan.CompileBackboneHook", "fullgraph": True, **options})
    assert type(hook) is CompileBackboneHook
    logger = MMLogger.get_instance("compilation")
    hook.before_run(SimpleNamespace(model=model, logger=logger))


def build(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    backbone = VAN(ARCH, out_indices=(1,), **options)
    return nn.ModuleDict({"backbone": backbone, "head": nn.Conv2d(16, 2, 1)})


def step(model: nn.Module, x: Tensor) -> tuple[Any, ...]:
    """Train on a batch, then evaluate it."""
    model.train()
    model.zero_grad()
    torch.manual_seed(1)
    model["head"](model["backbone"](x)[-1]).square().mean().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    with torch.no_grad():
        outputs = model.eval()["backbone"](x)
    return gradients, dict(model.named_buffers()), outputs


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_training_and_evaluation_are_one_graph_each_with_the_same_numbers(
    options: dict[str, Any],
) -> None:
    plain, compiled = build(**options), build(**options)
    start(compiled, backend="aot_eager")
    counters.clear()
    x = torch.randn(2, 3, 40, 36)
    found, expected = step(compiled, x), step(plain, x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]
    assert compiled.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.slow
def test_the_second_size_compiles_for_all_sizes() -> None:
    """With plain operators, as on GPUs; phases make a graph of any size slow to compile."""
    model = build()
    start(model, backend="eager")
    counters.clear()
    sizes = ((64, 64), (48, 80), (96, 64), (72, 104), (33, 57), (61, 62))
    graphs = []
    with use_backend("torch"):
        for size in sizes:
            step(model, torch.randn(2, 3, *size))
            graphs.append(counters["stats"]["unique_graphs"])
    assert graphs == [2, 4, 4, 4, 4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("with_cp", ("lean", True))
def test_data_parallel_training_has_the_same_gradients(
    with_cp: bool | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch cuts what is compiled inside DistributedDataParallel where a bucket is full."""
    monkeypatch.setattr(torch.distributed, "_DEFAULT_FIRST_BUCKET_BYTES", 1024)
    plain, compiled = build(with_cp=with_cp), build(with_cp=with_cp)
    start(compiled, backend="aot_eager")
    x = torch.randn(2, 3, 40, 36)
    model = Whole(compiled)
    torch.distributed.init_process_group(
        "gloo", init_method=(tmp_path / "store").as_uri(), rank=0, world_size=1
    )
    try:
        parallel = nn.parallel.DistributedDataParallel(model, bucket_cap_mb=2**-10)
        parallel(x).backward()
    finally:
        torch.distributed.destroy_process_group()
    Whole(plain)(x).backward()
    for (name, found), expected in zip(
        compiled.named_parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(compiled.state_dict(), plain.state_dict())


class Whole(nn.Module):
    def __init__(self, parts: nn.Module) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        return self.parts["head"](self.parts["backbone"](x)[-1]).square().mean()


def test_a_copy_is_not_compiled_and_the_original_takes_its_weights() -> None:
    model = build()
    start(model, backend="eager")
    average = copy.deepcopy(model)
    x = torch.randn(1, 3, 40, 36)
    counters.clear()
    average.eval()["backbone"](x)
    assert "unique_graphs" not in counters["stats"]
    nn.init.constant_(average["backbone"].stages[1].norm.bias, 7.0)
    model.load_state_dict(average.state_dict())
    with torch.no_grad():
        found, expected = model.eval()["backbone"](x), average["backbone"](x)
    assert counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(found, expected)


def test_a_model_without_the_backbone_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Conv2d has no mmvan\.VAN inside\. Leave it out\."):
        start(nn.Conv2d(3, 3, 1))


@pytest.mark.slow
def test_a_missing_compiler_is_named_before_the_run() -> None:
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "no-such-c++")}),
        pytest.raises(ConfigError, match=r"does not work on cpu here: No working C\+\+ compiler"),
    ):
        start(build())
