"""Nobody sees a difference when a kernel runs in the place of modules, or it does not run."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from mmvan import VAN
from mmvan.models import LargeKernelAttention
from mmvan.ops import (
    BACKENDS,
    large_kernel_attention,
    make_depthwise_conv,
    run_conv,
    use_backend,
)
from mmvan.ops.backends import GPU_BACKENDS
from mmvan.ops.fusion import kernels_are_fused
from tests.models.operators import functions_of

SMALL = {"embed_dims": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
CPU_BACKENDS = [name for name in BACKENDS if name not in GPU_BACKENDS]


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    with use_backend("native"):
        yield


class Subclass(nn.Conv2d):
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
    convs = make_depthwise_conv(16, 5), make_depthwise_conv(16, 7, 3)
    assert kernels_are_fused(x, *convs)
    OBSERVERS[name](convs[1])
    assert not kernels_are_fused(x, *convs)


def test_a_subclass_is_called() -> None:
    conv = Subclass(16, 16, 7, padding=9, dilation=3, groups=16)
    assert not kernels_are_fused(torch.rand(1, 16, 9, 9), make_depthwise_conv(16, 5), conv)


def circular(conv: nn.Conv2d) -> None:
    conv.padding_mode = "circular"
    conv._reversed_padding_repeated_twice = [p for p in conv.padding[::-1] for _ in range(2)]


def without_bias(conv: nn.Conv2d) -> None:
    conv.bias = None


CHANGES: dict[str, Callable[[nn.Conv2d], None]] = {
    "padding mode": circular,
    "padding": lambda conv: setattr(conv, "padding", (1, 1)),
    "padding by name": lambda conv: setattr(conv, "padding", "same"),
    "stride": lambda conv: setattr(conv, "stride", (2, 2)),
    "dilation": lambda conv: setattr(conv, "dilation", (1, 1)),
    "no bias": without_bias,
    "forward of its own": lambda conv: setattr(conv, "forward", torch.sin),
}


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
@pytest.mark.parametrize("backend", (*CPU_BACKENDS, None))
@pytest.mark.parametrize("name", CHANGES)
def test_a_module_that_was_changed_computes_as_pytorchs(
    name: str, backend: str | None, layout: torch.memory_format
) -> None:
    x = torch.rand(2, 16, 25, 25).contiguous(memory_format=layout)
    for conv in (make_depthwise_conv(16, 7, 3), make_depthwise_conv(16, 5)):
        CHANGES[name](conv)
        with use_backend(backend):
            torch.testing.assert_close(run_conv(conv, x), conv(x), rtol=1e-5, atol=1e-6)
        assert not kernels_are_fused(x, make_depthwise_conv(16, 5), conv) or name == "dilation"


@pytest.mark.parametrize("part", ("dw_conv", "dw_d_conv", "pw_conv"))
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_another_convolution_in_the_place_of_one_is_called(part: str, backend: str) -> None:
    """Of PyTorch's own class, untouched, and another one than was built."""
    lka, x = LargeKernelAttention(16), torch.rand(1, 16, 12, 12)
    for other in (nn.Conv2d(16, 16, 1), make_depthwise_conv(16, 3, 2), nn.Conv2d(16, 16, 3, 1, 1)):
        setattr(lka, part, other)
        attn = lka.pw_conv(lka.dw_d_conv(lka.dw_conv(x)))
        with use_backend(backend):
            torch.testing.assert_close(lka(x), x * attn, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_operators_in_forward_mode_and_under_vmap(backend: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 16, 9, 9).contiguous(memory_format=torch.channels_last)
    weights = [torch.rand(shape) for shape in ((16, 1, 5, 5), 16, (16, 1, 7, 7), 16)]
    weights += [torch.rand(16, 16, 1, 1), torch.rand(16)]

    def attend(weight: Tensor, backend: str | None = backend) -> Tensor:
        return large_kernel_attention(x, weight, *weights[1:], backend=backend)

    with forward_ad.dual_level():
        dual = forward_ad.make_dual(weights[0], torch.ones_like(weights[0]))
        tangent = forward_ad.unpack_dual(attend(dual)).tangent
    _, expected = torch.func.jvp(
        partial(attend, backend="torch"), (weights[0],), (torch.ones_like(weights[0]),)
    )
    torch.testing.assert_close(tangent, expected)
    each = torch.func.vmap(attend)(torch.stack([weights[0], 2 * weights[0]]))
    torch.testing.assert_close(each[1], attend(2 * weights[0], "torch"))


def test_per_sample_gradients_are_those_of_single_samples() -> None:
    model, x = VAN(SMALL, out_indices=(0,), channels_last="auto").eval(), torch.rand(3, 3, 32, 32)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], image: Tensor) -> Tensor:
        (out,) = torch.func.functional_call(model, weights, (image[None],))
        return out.square().mean()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x)
    model(x[1:2])[0].square().mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(each[name][1], parameter.grad, rtol=1e-3, atol=1e-5)


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
    x, conv = torch.rand(2, 16, 9, 9), make_depthwise_conv(16, 5)
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not kernels_are_fused(x, conv)
    finally:
        handle.remove()
    assert kernels_are_fused(x, conv)
