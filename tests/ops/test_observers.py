"""Nobody sees a difference when a kernel runs in the place of modules, or it does not run."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from mmvan import VAN
from mmvan.ops import BACKENDS, DepthwiseConv2d, use_backend
from mmvan.ops.fusion import kernels_are_fused
from tests.models.operators import functions_of

SMALL = {"embed_dims": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
CPU_BACKENDS = [name for name in BACKENDS if name != "triton"]


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    with use_backend("native"):
        yield


class Subclass(DepthwiseConv2d):
    pass


def hooked(register: str) -> Callable[[nn.Module], None]:
    return lambda module: getattr(module, register)(lambda *_: None) and None


def with_its_own_forward(module: nn.Module) -> None:
    module.forward = lambda x: x


def with_spectral_norm(module: nn.Module) -> None:
    parametrizations.spectral_norm(module)


OBSERVERS = {
    "forward hook": hooked("register_forward_hook"),
    "forward pre-hook": hooked("register_forward_pre_hook"),
    "backward hook": hooked("register_full_backward_hook"),
    "backward pre-hook": hooked("register_full_backward_pre_hook"),
    "parametrization": with_spectral_norm,
    "forward of its own": with_its_own_forward,
}


@pytest.mark.parametrize("name", OBSERVERS)
def test_a_module_that_somebody_observes_is_called(name: str) -> None:
    x = torch.rand(2, 16, 9, 9)
    convs = DepthwiseConv2d(16, 5), DepthwiseConv2d(16, 7, 3)
    assert kernels_are_fused(x, *convs)
    OBSERVERS[name](convs[1])
    assert not kernels_are_fused(x, *convs)


def test_a_subclass_is_called() -> None:
    assert not kernels_are_fused(
        torch.rand(1, 16, 9, 9), DepthwiseConv2d(16, 5), Subclass(16, 7, 3)
    )


def test_forward_mode_and_transformed_functions_get_pytorchs_operators() -> None:
    model = VAN(SMALL, out_indices=(0,)).eval()
    x, tangent = torch.rand(2, 1, 3, 16, 16).unbind()

    def first(x: Tensor) -> Tensor:
        return model(x)[0]

    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(first(forward_ad.make_dual(x, tangent))).tangent
    _, by_function = torch.func.jvp(first, (x,), (tangent,))
    by_batch = torch.func.vmap(first)(torch.stack([x, x + 1]))
    with torch.no_grad():
        step = 1e-2
        expected = (first(x + step * tangent) - first(x - step * tangent)) / (2 * step)
        torch.testing.assert_close(by_batch[1], first(x + 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slope, by_function, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slope, expected, rtol=0.05, atol=0.02)


def test_a_gradient_has_a_gradient() -> None:
    """As a penalty on the gradient needs it: the kernels against PyTorch's own operators."""
    torch.manual_seed(0)
    model = VAN(SMALL, out_indices=(1,)).double().eval()
    penalties = []
    names = []
    for backend, dtype in (("torch", torch.float64), ("native", torch.float32)):
        model.to(dtype).zero_grad()
        x = torch.linspace(-1, 1, 3 * 16 * 16, dtype=dtype).view(1, 3, 16, 16).requires_grad_()
        with use_backend(backend):
            out = model(x)[0]
            names.append(str(functions_of(out)))
            (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
            slope.square().sum().backward()
        penalties.append(model.stages[0].embed.proj.weight.grad.double().clone())
    assert ["mmvan" in text for text in names] == [False, True]
    torch.testing.assert_close(*penalties, rtol=1e-3, atol=1e-5)


def flops(model: nn.Module, backend: str, *, training: bool) -> int:
    x = torch.rand(1, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    counter = FlopCounterMode(display=False)
    with use_backend(backend), counter:
        loss = sum(out.sum() for out in model(x))
        if training:
            loss.backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("training", (False, True))
def test_pytorchs_counter_sees_the_same_whatever_runs(training: bool) -> None:
    model = VAN(SMALL)
    names = ("torch", "phase_split", "native")
    counts = {name: flops(model, name, training=training) for name in names}
    assert counts["phase_split"] == counts["native"] == counts["torch"] > 0


def test_a_hook_on_all_modules_is_noticed() -> None:
    x, conv = torch.rand(2, 16, 9, 9), DepthwiseConv2d(16, 5)
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not kernels_are_fused(x, conv)
    finally:
        handle.remove()
    assert kernels_are_fused(x, conv)
