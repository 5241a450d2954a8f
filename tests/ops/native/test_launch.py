"""The C operators against plain PyTorch in double precision: values and all gradients."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmvan.ops.native import launch

LAYOUTS = (torch.contiguous_format, torch.channels_last)
# (N, C, H, W) and (K1, K2, dilation): narrower and flatter than a kernel, one pixel, columns that
# fill tiles of 8 and that do not, groups of one, two and four vectors of channels.
MAPS = (
    ((2, 16, 9, 11), (5, 7, 3)),
    ((1, 32, 1, 1), (5, 7, 3)),
    ((1, 48, 3, 20), (5, 7, 3)),
    ((2, 64, 8, 8), (3, 5, 2)),
    ((1, 16, 5, 2), (7, 3, 4)),
)
# Of the largest number. The sums of a float32 convolution are as exact in PyTorch's own.
TOLERANCE = 2e-6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def plain_pair(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, d: int) -> Tensor:
    c = x.shape[1]
    middle = F.conv2d(x, w1, b1, padding=w1.shape[-1] // 2, groups=c)
    return F.conv2d(middle, w2, b2, padding=d * (w2.shape[-1] // 2), dilation=d, groups=c)


def plain_gelu(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.gelu(F.conv2d(x, w, b, padding=w.shape[-1] // 2, groups=x.shape[1]))


def inputs_of(shape: tuple[int, ...], *sizes: int) -> list[Tensor]:
    c = shape[1]
    kernels = [part for size in sizes for part in (torch.randn(c, 1, size, size), torch.randn(c))]
    return [torch.randn(shape), *kernels]


def assert_same(
    plain: Callable[..., Tensor],
    forward: Callable[..., Tensor],
    backward: Callable[..., tuple[Tensor, ...]],
    inputs: list[Tensor],
    layout: torch.memory_format,
    *rest: int,
) -> None:
    inputs[0] = inputs[0].contiguous(memory_format=layout)
    exact = [value.double().requires_grad_() for value in inputs]
    expected = plain(*exact, *rest)
    grad = torch.randn_like(expected)
    wanted = (expected, *torch.autograd.grad(expected, exact, grad))
    out = forward(*inputs, *rest)
    assert out.is_contiguous(memory_format=layout)
    got = (out, *backward(grad.float(), *inputs, *rest))
    assert len(got) == len(wanted) == len(inputs) + 1
    for value, reference in zip(got, wanted, strict=True):
        assert value.shape == reference.shape
        error = (value - reference).abs().max() / reference.abs().max()
        assert error.item() < TOLERANCE


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "kernels"), MAPS)
def test_pair(
    shape: tuple[int, ...], kernels: tuple[int, int, int], layout: torch.memory_format
) -> None:
    *sizes, d = kernels
    inputs = inputs_of(shape, *sizes)
    assert_same(plain_pair, launch.pair, launch.pair_backward, inputs, layout, d)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "kernels"), MAPS)
def test_gelu(
    shape: tuple[int, ...], kernels: tuple[int, int, int], layout: torch.memory_format
) -> None:
    inputs = inputs_of(shape, kernels[0])
    assert_same(plain_gelu, launch.gelu, launch.gelu_backward, inputs, layout)


def test_bands_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PLANES", 1)
    monkeypatch.setattr(launch, "MIN_BAND", 3)
    inputs = inputs_of((2, 16, 13, 6), 5, 7)
    layout = torch.channels_last
    assert launch._divide(inputs[0], 22, 2, 1).band == 3
    assert_same(plain_pair, launch.pair, launch.pair_backward, inputs, layout, 3)
    assert_same(plain_gelu, launch.gelu, launch.gelu_backward, inputs[:3], layout)


def test_results_do_not_depend_on_the_threads() -> None:
    inputs, grad = inputs_of((3, 32, 12, 9), 5, 7), torch.randn(3, 32, 12, 9)
    threads = torch.get_num_threads()
    results = []
    for number in (1, 3):
        torch.set_num_threads(number)
        results.append((launch.pair(*inputs, 3), *launch.pair_backward(grad, *inputs, 3)))
    torch.set_num_threads(threads)
    for one, three in zip(*results, strict=True):
        torch.testing.assert_close(one, three, rtol=0, atol=0)


def test_gelu_is_exact_far_out() -> None:
    """A 1x1 part of a 3x3 kernel hands any number to GELU, the largest as well."""
    x = torch.cat([torch.linspace(-14, 14, 8000), torch.tensor([-1e30, 1e30, -0.0, 0.0])])
    x = x.expand(1, 16, 1, -1)
    weight = torch.zeros(16, 1, 3, 3)
    weight[..., 1, 1] = 1
    out = launch.gelu(x, weight, torch.zeros(16))
    torch.testing.assert_close(out.double(), F.gelu(x.double()), rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("shape", ((0, 16, 4, 4), (2, 16, 0, 4)))
def test_no_pixel_is_a_result_too(shape: tuple[int, ...]) -> None:
    inputs = inputs_of(shape, 5, 7)
    out = launch.pair(*inputs, 3)
    gradients = launch.pair_backward(torch.empty(shape), *inputs, 3)
    assert out.shape == shape
    assert not any(gradient.any() for gradient in gradients)


def test_values_that_are_not_numbers_stay_visible() -> None:
    inputs = inputs_of((1, 16, 6, 6), 5, 7)
    inputs[0][0, 3, 2, 2] = torch.nan
    assert launch.pair(*inputs, 3)[0, 3].isnan().any()
    assert launch.gelu(*inputs[:3])[0, 3].isnan().any()
    assert not launch.pair(*inputs, 3)[0, :3].isnan().any()
