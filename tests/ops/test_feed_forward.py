"""Depthwise convolution with GELU by PyTorch's operators; its kernels have tests of their own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmvan.errors import ModelError
from mmvan.models.layers import FeedForward
from mmvan.ops import depthwise_gelu

SHAPES = ((1, 1, 1, 1), (2, 3, 4, 5), (1, 5, 2, 17))


def inputs_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = (shape, (shape[1], 1, 3, 3), (shape[1],))
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_layout(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    x, weight, bias = inputs_of(shape)
    x = x.detach().contiguous(memory_format=layout)
    ours = depthwise_gelu(x, weight, bias)
    assert ours.is_contiguous(memory_format=layout)
    assert torch.equal(ours, F.gelu(F.conv2d(x, weight, bias, padding=1, groups=shape[1])))


def test_first_and_second_derivatives_by_finite_differences() -> None:
    inputs = inputs_of((1, 2, 3, 2), torch.float64)
    assert torch.autograd.gradcheck(depthwise_gelu, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(depthwise_gelu, inputs, fast_mode=True)


def test_it_is_what_the_feed_forward_network_does_bit_for_bit() -> None:
    ffn, x = FeedForward(3, 6, {"type": "GELU"}, 0.0), torch.randn(2, 3, 5, 7)
    assert ffn.dw_conv.bias is not None
    inside = depthwise_gelu(ffn.fc1(x), ffn.dw_conv.weight, ffn.dw_conv.bias)
    assert torch.equal(ffn.fc2(inside), ffn(x))


def test_compiled_without_a_graph_break() -> None:
    inputs = inputs_of((1, 3, 5, 4))
    compiled = torch.compile(depthwise_gelu, fullgraph=True, backend="aot_eager")(*inputs)
    torch.testing.assert_close(compiled, depthwise_gelu(*inputs), rtol=1e-5, atol=1e-5)
    assert compiled.grad_fn is not None


def test_there_is_nothing_to_split_into_phases() -> None:
    with pytest.raises(ModelError, match=r"depthwise_gelu: backend must be one of torch, native, "):
        depthwise_gelu(*inputs_of((1, 1, 1, 1)), backend="phase_split")
