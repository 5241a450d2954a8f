"""The output norm: the formula, in the layout of its input, without a copy where it needs none."""

import pytest
import torch
from torch import Tensor

from mmvan.models.layers import LayerNorm2d
from tests.models.operators import Operators

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def run(layout: torch.memory_format) -> tuple[LayerNorm2d, Tensor, Tensor, list[str]]:
    torch.manual_seed(0)
    norm = LayerNorm2d(8, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 8, 5, 6).to(memory_format=layout).requires_grad_()
    gradient = torch.randn(2, 8, 5, 6).to(memory_format=layout)
    with Operators() as operators:
        out = norm(x)
        out.backward(gradient)
    return norm, x, out, [func.name() for func, _ in operators.calls]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_pixel_is_normalised_over_its_channels(layout: torch.memory_format) -> None:
    norm, x, out, _ = run(layout)
    assert out.is_contiguous(memory_format=layout)
    variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
    expected = (x - mean) / (variance + 1e-3).sqrt() * norm.weight.view(8, 1, 1)
    torch.testing.assert_close(out, expected + norm.bias.view(8, 1, 1), rtol=0, atol=1e-6)


def test_channels_last_is_never_copied() -> None:
    _, x, _, names = run(torch.channels_last)
    assert {"aten::native_layer_norm", "aten::native_layer_norm_backward"} <= set(names)
    assert not {"aten::clone", "aten::copy_", "aten::_to_copy"} & set(names)
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
