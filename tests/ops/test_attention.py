"""Large kernel attention by PyTorch's operators; its kernels have tests of their own."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmvan.errors import ModelError
from mmvan.models import LargeKernelAttention
from mmvan.ops import large_kernel_attention

BACKENDS = ("torch", "phase_split")
LAYOUTS = (torch.contiguous_format, torch.channels_last)
SHAPES = ((1, 1, 1, 1), (2, 3, 4, 5), (1, 4, 7, 23), (1, 5, 19, 6))
CASES = tuple(itertools.product(SHAPES, LAYOUTS, BACKENDS))


def inputs_of(
    shape: tuple[int, ...], kernels: tuple[int, int] = (5, 7), dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    torch.manual_seed(0)
    c, (k1, k2) = shape[1], kernels
    shapes = (shape, (c, 1, k1, k1), (c,), (c, 1, k2, k2), (c,), (c, c, 1, 1), (c,))
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


def plain(
    x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, pw: Tensor, pb: Tensor, d: int
) -> Tensor:
    attn = F.conv2d(x, w1, b1, padding=w1.shape[-1] // 2, groups=x.shape[1])
    padding = d * (w2.shape[-1] // 2)
    attn = F.conv2d(attn, w2, b2, padding=padding, dilation=d, groups=x.shape[1])
    return x * F.conv2d(attn, pw, pb)


def test_how_many_cases_there_are() -> None:
    assert len(CASES) == 16


@pytest.mark.parametrize(("shape", "layout", "backend"), CASES)
def test_values_and_gradients(
    shape: tuple[int, ...], layout: torch.memory_format, backend: str
) -> None:
    inputs = inputs_of(shape)
    inputs[0] = inputs[0].detach().contiguous(memory_format=layout).requires_grad_()
    ours, theirs = large_kernel_attention(*inputs, backend=backend), plain(*inputs, 3)
    assert ours.is_contiguous(memory_format=layout)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    grad = torch.randn(shape)
    got, expected = (torch.autograd.grad(out, inputs, grad) for out in (ours, theirs))
    assert len(got) == 7
    for value, reference in zip(got, expected, strict=True):
        atol = 1e-5 * float(reference.abs().max())
        torch.testing.assert_close(value, reference, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_and_second_derivatives_by_finite_differences(backend: str) -> None:
    def attend(*inputs: Tensor) -> Tensor:
        return large_kernel_attention(*inputs, 2, backend)

    inputs = inputs_of((1, 2, 3, 4), (3, 3), torch.float64)
    assert torch.autograd.gradcheck(attend, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(attend, inputs, fast_mode=True)


def test_it_is_the_modules_attention_bit_for_bit() -> None:
    module, x = LargeKernelAttention(4), torch.randn(2, 4, 9, 8)
    parameters = dict(module.named_parameters())
    names = [
        f"{conv}.{kind}"
        for conv in ("dw_conv", "dw_d_conv", "pw_conv")
        for kind in ("weight", "bias")
    ]
    assert sorted(names) == sorted(parameters)
    ours = large_kernel_attention(x, *(parameters[name] for name in names))
    assert torch.equal(ours, module(x))


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_without_a_graph_break(backend: str) -> None:
    inputs = inputs_of((1, 3, 5, 4))

    def attend(*inputs: Tensor) -> Tensor:
        return large_kernel_attention(*inputs, backend=backend)

    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")(*inputs)
    torch.testing.assert_close(compiled, attend(*inputs), rtol=1e-5, atol=1e-5)
    assert compiled.grad_fn is not None


@pytest.mark.parametrize("backend", BACKENDS)
def test_checkpointing_and_autocast(backend: str) -> None:
    inputs = inputs_of((1, 3, 5, 4))

    def attend(*inputs: Tensor) -> Tensor:
        return large_kernel_attention(*inputs, backend=backend)

    kept = torch.autograd.grad(attend(*inputs).sum(), inputs)
    again = torch.autograd.grad(checkpoint(attend, *inputs, use_reentrant=False).sum(), inputs)
    torch.testing.assert_close(again, kept, rtol=0, atol=0)
    exact = attend(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = attend(*inputs)
    assert (mixed - exact).abs().max() < 3e-2 * exact.abs().max()


def test_an_exported_graph_holds_the_plain_operators() -> None:
    module = LargeKernelAttention(4).eval()
    graph = torch.export.export(module, (torch.rand(1, 4, 9, 9),)).graph
    names = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    assert names == ["aten.conv2d.default"] * 3 + ["aten.mul.Tensor"]


def test_a_backend_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match=r"large_kernel_attention: backend .* 'phase_spilt'.*mean"):
        large_kernel_attention(*inputs_of((1, 1, 1, 1)), backend="phase_spilt")
