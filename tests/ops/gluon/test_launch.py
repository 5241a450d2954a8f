"""The pair in one pass against plain PyTorch; no GPU, but Python runs the kernel's own text."""

import importlib
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmvan.ops.gluon import tiles
from mmvan.ops.triton import launch as triton_launch
from tests.ops.gluon.emulation import Emulated, Language

pytest.importorskip("triton", minversion="3.7", reason="Gluon of triton 3.7 or newer")
launch = importlib.import_module("mmvan.ops.gluon.launch")
pair_kernel = launch.pair_kernel

LAYOUTS = (torch.contiguous_format, torch.channels_last)
PAPER = (5, 7, 3)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Emulated:
    kernel = Emulated(pair_kernel)
    monkeypatch.setattr(launch, "pair_kernel", kernel)
    return kernel


def inputs_of(
    shape: tuple[int, ...],
    kernels: tuple[int, int, int],
    layout: torch.memory_format,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    c, (k1, k2, _) = shape[1], kernels
    drawn = [torch.randn(s) for s in (shape, (c, 1, k1, k1), (c,), (c, 1, k2, k2), (c,))]
    return [drawn[0].to(dtype, memory_format=layout), *(value.to(dtype) for value in drawn[1:])]


def expected_of(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, d: int) -> Tensor:
    """In float64, but for what is between the two, which is of the map's type."""
    c, dtype = x.shape[1], x.dtype
    x, w1, b1, w2, b2 = (value.double() for value in (x, w1, b1, w2, b2))
    between = F.conv2d(x, w1, b1, padding=w1.shape[-1] // 2, groups=c).to(dtype).double()
    return F.conv2d(between, w2, b2, padding=d * (w2.shape[-1] // 2), dilation=d, groups=c)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "kernels"),
    (
        ((2, 3, 2, 5), PAPER),  # Smaller than a kernel; two images; an odd number of channels.
        ((1, 1, 1, 1), PAPER),
        ((1, 5, 16, 3), PAPER),  # Two groups of rows; two blocks of channels.
        ((1, 2, 7, 1), (3, 3, 2)),
        ((2, 2, 1, 66), (3, 3, 1)),  # Wider than a tile.
        ((1, 5, 9, 6), (3, 1, 4)),
        ((1, 2, 3, 4), (1, 5, 2)),
    ),
)
def test_one_pass_is_two_convolutions(
    emulated: Emulated,
    shape: tuple[int, ...],
    kernels: tuple[int, int, int],
    layout: torch.memory_format,
) -> None:
    inputs = inputs_of(shape, kernels, layout)
    out = launch.pair(*inputs, kernels[2])
    assert len(emulated.grids) == 1
    assert out.is_contiguous(memory_format=layout)
    torch.testing.assert_close(out, expected_of(*inputs, kernels[2]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    ((torch.float32, 1e-5), (torch.float16, 2**-10), (torch.bfloat16, 2**-7)),
)
def test_types(emulated: Emulated, dtype: torch.dtype, tolerance: float) -> None:
    """Sums in float32; parameters of the map's type or, as under autocast, wider."""
    x, *parameters = inputs_of((1, 3, 4, 5), (3, 3, 2), torch.channels_last, dtype)
    for given in (parameters, [value.float() for value in parameters]):
        out = launch.pair(x, *given, 2)
        assert out.dtype == dtype
        expected = expected_of(x, *given, 2)
        error = (out.double() - expected).abs().max() / expected.abs().max()
        assert error.item() < tolerance
    assert len(emulated.grids) == 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strips_and_blocks_join_without_a_seam(
    emulated: Emulated, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs for each of 3 strips, 3 blocks of columns and 2 of channels."""
    for name, value in {"WIDEST": (8,), "ROWS_2": (2,), "NUMBERS": 32}.items():
        monkeypatch.setattr(tiles, name, value)
    monkeypatch.setattr(launch, "multiprocessors", lambda _: 9)
    inputs = inputs_of((1, 5, 9, 13), (3, 3, 2), layout)
    out = launch.pair(*inputs, 2)
    assert emulated.grids == [(3 * 3 * 2,)]
    torch.testing.assert_close(out, expected_of(*inputs, 2), rtol=1e-12, atol=1e-12)


def test_the_bias_does_not_leak_into_the_padding(emulated: Emulated) -> None:
    """Outside of the map the second convolution meets zeros, not the first one's bias."""
    x, w1, _, w2, b2 = inputs_of((1, 1, 2, 2), (3, 3, 1), torch.contiguous_format)
    out = launch.pair(torch.zeros_like(x), w1, torch.ones(1).double(), torch.ones_like(w2), b2, 1)
    assert len(emulated.grids) == 1
    torch.testing.assert_close(out - b2, torch.full_like(out, 4.0))


def test_other_strides_are_copied(emulated: Emulated) -> None:
    x, w1, b1, w2, b2 = inputs_of((1, 2, 4, 5), (3, 3, 1), torch.contiguous_format)
    inputs = (x.mT, w1.mT, torch.stack([b1, b1], 1)[:, 0], w2, b2)
    out = launch.pair(*inputs, 1)
    assert len(emulated.grids) == 1
    torch.testing.assert_close(out, expected_of(*inputs, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("shape", "dilation"), (((0, 2, 3, 3), 3), ((1, 1, 200, 200), 40)))
def test_what_one_pass_cannot_hold_is_tritons(
    emulated: Emulated,
    shape: tuple[int, ...],
    dilation: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No image at all, and rows so far apart that they do not fit."""
    asked: list[Any] = []
    monkeypatch.setattr(launch, "pair_by_way_of_memory", lambda *inputs: asked.append(inputs))
    inputs = inputs_of(shape, (3, 5, dilation), torch.contiguous_format)
    launch.pair(*inputs, dilation)
    assert [len(given) for given in asked] == [6]
    assert emulated.grids == []


def test_the_rest_is_tritons() -> None:
    for name in ("gelu", "gelu_backward", "pair_backward"):
        assert getattr(launch, name) is getattr(triton_launch, name)
    assert launch.pair_by_way_of_memory is triton_launch.pair


@pytest.mark.parametrize(
    ("left_out", "message"),
    (
        (1, "wrote two values without"),  # Zeros, and the first rows over them.
        (2, "read what was written since"),
        (3, "overwrote what was read since"),
    ),
)
def test_each_barrier_is_needed(
    left_out: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hasty(Language):
        """Leaves out a barrier, counted from one on."""

        def barrier(self) -> None:
            self.barriers = getattr(self, "barriers", 0) + 1
            if self.barriers != left_out:
                super().barrier()

    monkeypatch.setattr(launch, "pair_kernel", Emulated(pair_kernel, Hasty))
    inputs = inputs_of((1, 2, 9, 3), (3, 3, 1), torch.channels_last)
    monkeypatch.setattr(tiles, "ROWS_2", (4,))
    with pytest.raises(AssertionError, match=message):
        launch.pair(*inputs, 1)
