"""The depthwise operator against PyTorch's own convolution."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmvan.ops import depthwise_conv2d, make_depthwise_conv, run_conv
from mmvan.ops.depthwise import phase_split_is_faster

SIZES = ((1, 1), (2, 5), (7, 7), (9, 12), (23, 14))
LAYOUTS = (torch.contiguous_format, torch.channels_last)
KERNELS = ((7, 3), (5, 3), (7, 4), (3, 2), (5, 1), (4, 2))
CASES = tuple(itertools.product(SIZES, LAYOUTS, KERNELS))


def reference(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, d: int) -> torch.Tensor:
    padding = d * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, bias, padding=padding, dilation=d, groups=x.shape[1])


@pytest.mark.smoke
@pytest.mark.parametrize(("size", "layout", "kernel"), CASES)
def test_values_and_gradients_are_those_of_conv2d(
    size: tuple[int, int], layout: torch.memory_format, kernel: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    (k, d), channels = kernel, 6
    x = torch.randn(2, channels, *size).to(memory_format=layout).requires_grad_()
    weight = torch.randn(channels, 1, k, k, requires_grad=True)
    bias = torch.randn(channels, requires_grad=True)
    grad = torch.randn(2, channels, *size)

    ours, theirs = depthwise_conv2d(x, weight, bias, d), reference(x, weight, bias, d)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for got, expected in zip(
        torch.autograd.grad(ours, (x, weight, bias), grad),
        torch.autograd.grad(theirs, (x, weight, bias), grad),
        strict=True,
    ):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_both_forms_were_covered() -> None:
    split = [
        phase_split_is_faster(torch.empty(1, 6, *size), torch.empty(6, 1, k, k), d)
        for size, _, (k, d) in CASES
    ]
    assert (len(split), sum(split)) == (60, 40)


def test_gradients_of_the_phase_split_form() -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.double, requires_grad=True)
    weight = torch.randn(2, 1, 3, 3, dtype=torch.double, requires_grad=True)
    bias = torch.randn(2, dtype=torch.double, requires_grad=True)
    assert phase_split_is_faster(x, weight, 2)
    assert torch.autograd.gradcheck(lambda *args: depthwise_conv2d(*args, 2), (x, weight, bias))


@pytest.mark.parametrize("backend", ("torch", "phase_split"))
@pytest.mark.parametrize(("k", "d", "has_phases"), ((3, 2, True), (4, 2, False), (3, 1, False)))
def test_the_backend_can_be_named(k: int, d: int, has_phases: bool, backend: str) -> None:
    """Where there are no phases, phase_split is the plain convolution."""
    torch.manual_seed(0)
    x, weight, bias = torch.randn(1, 3, 7, 5), torch.randn(3, 1, k, k), torch.randn(3)
    out, expected = depthwise_conv2d(x, weight, bias, d, backend), reference(x, weight, bias, d)
    split = has_phases and backend == "phase_split"
    tolerance = 1e-5 if split else 0
    torch.testing.assert_close(out, expected, rtol=tolerance, atol=tolerance)


def test_a_backend_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"backend must be one of torch, phase_split, got 'cuda'"):
        depthwise_conv2d(torch.rand(1, 1, 3, 3), torch.rand(1, 1, 3, 3), None, backend="cuda")


def test_bfloat16_under_autocast_and_without_bias() -> None:
    torch.manual_seed(0)
    conv = make_depthwise_conv(8, 7, 3)
    x = torch.randn(1, 8, 15, 13)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = run_conv(conv, x)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), conv(x), rtol=3e-2, atol=3e-2)
    no_bias = depthwise_conv2d(x, conv.weight, None, 3)
    torch.testing.assert_close(no_bias + conv.bias.view(-1, 1, 1), conv(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_the_input_is_kept(layout: torch.memory_format) -> None:
    x = torch.randn(2, 6, 9, 12).to(memory_format=layout)
    assert run_conv(make_depthwise_conv(6, 7, 3), x).is_contiguous(memory_format=layout)


def test_a_traced_graph_holds_the_plain_operator() -> None:
    conv = make_depthwise_conv(4, 7, 3).requires_grad_(False)
    traced = torch.jit.trace(lambda x: run_conv(conv, x), torch.randn(1, 4, 9, 9))
    kinds = [node.kind() for node in traced.graph.nodes()]
    assert "aten::_convolution" in kinds
    assert "aten::permute" not in kinds


def test_a_kernel_that_cannot_keep_the_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kernel_size 4 with dilation 3 .* = 9 must be even"):
        make_depthwise_conv(4, 4, 3)
