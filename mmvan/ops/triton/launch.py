"""From tensors to kernels: layouts, tiles and grids.

All maps are (N, C, H, W). The sizes of the tiles follow from registers and cache lines, see
`mmvan/ops/triton/kernels.py`; they were not measured.

Weights and biases may be of a wider type than the map: under autocast they stay float32, and so do
their gradients.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmvan.ops.triton.kernels import (
    GELU,
    GELU_BACKWARD,
    NO_EPILOGUE,
    depthwise_kernel,
    pair_kernel,
    weight_gradient_kernel,
)
from mmvan.ops.triton.maps import (
    accumulator,
    dense,
    layout_of,
    like,
    multiprocessors,
    on_device,
    sizes,
    strides,
    taps_first,
)

LANES = 64  # Neighbouring numbers that are read at a time; 128 bytes of a half type.
TILE = 512  # Numbers of a tile: 4 per thread of 4 warps, for each of the ROWS.
GRADIENT_SUMS = 8192  # Of the weight gradient, one per number of a tile and tap: 64 per thread.
ROWS = 8  # Output rows that are computed at a time.
STRIP = 48  # Output rows of a strip of the pair, for which 18 more are computed in the first half.
RUN = 32  # Rows of a phase that the weight gradient takes at a time; K - 1 of them are read twice.
GRADIENT_PROGRAMS = 512  # About 4 for each multiprocessor of a large GPU.


class Tile(NamedTuple):
    """Pixels of a row and channels that are computed at a time; powers of two."""

    columns: int
    channels: int


def pair(
    x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, bias_2: Tensor, dilation: int
) -> Tensor:
    """Two depthwise convolutions in a row, the second one dilated.

    One kernel where strips of rows keep all multiprocessors busy, two where they are too few, as
    with single images.
    """
    x = dense(x)
    height = x.shape[2]
    tile = _tile(x, TILE)
    rows = _rows(height, dilation)
    strip = max(STRIP // (dilation * rows), 1) * dilation * rows
    programs = x.shape[0] * triton.cdiv(height, strip) * triton.cdiv(x.shape[1], tile.channels)
    if programs < 2 * multiprocessors(x.device):
        return _convolve(_convolve(x, weight_1, bias_1, 1), weight_2, bias_2, dilation)
    out = torch.empty_like(x)
    kernel = weight_2.shape[-1]
    scratch_height = min(strip + 2 * dilation * (kernel // 2), height)
    scratch = torch.empty(
        (programs, tile.channels, scratch_height, x.shape[3]),
        dtype=x.dtype,
        device=x.device,
        memory_format=layout_of(x),
    )
    with on_device(x):
        pair_kernel[(programs,)](
            x, taps_first(weight_1), bias_1.contiguous(), taps_first(weight_2),
            bias_2.contiguous(), scratch, out, *sizes(x), *strides(x), *strides(scratch),
            K1=weight_1.shape[-1], K2=kernel, D=dilation, STRIP=strip, ROWS=rows,
            COLUMNS=tile.columns, CHANNELS=tile.channels, ACC=accumulator(x), num_stages=1,
        )  # fmt: skip
    return out


def pair_backward(
    grad: Tensor,
    x: Tensor,
    weight_1: Tensor,
    bias_1: Tensor,
    weight_2: Tensor,
    bias_2: Tensor,
    dilation: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`pair` for its five tensors."""
    x = dense(x)
    grad = like(grad, x)
    between = _convolve(x, weight_1, bias_1, 1)
    of_second = _parameter_gradients(between, grad, weight_2, bias_2, dilation)
    del between  # Its memory is the next map's.
    grad = _input_gradient(grad, weight_2, dilation)
    of_first = _parameter_gradients(x, grad, weight_1, bias_1, 1)
    return _input_gradient(grad, weight_1, 1), *of_first, *of_second


def gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU of a depthwise convolution, which is not rounded in between."""
    return _run(x, taps_first(weight), bias, 1, GELU)


def gelu_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`gelu` for its three tensors."""
    x = dense(x)
    grad = _run(x, taps_first(weight), bias, 1, GELU_BACKWARD, like(grad, x))
    of_parameters = _parameter_gradients(x, grad, weight, bias, 1)
    return _input_gradient(grad, weight, 1), *of_parameters


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    return _run(x, taps_first(weight), bias, dilation, NO_EPILOGUE)


def _input_gradient(grad: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """The gradient of a convolution for its input is a convolution with the kernel turned round."""
    return _run(grad, taps_first(weight).flip(0), None, dilation, NO_EPILOGUE)


def _parameter_gradients(
    x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor, dilation: int
) -> tuple[Tensor, Tensor]:
    """Gradients of a convolution for weight and bias, with their shapes, types and layouts.

    ``x`` and ``grad`` are dense, in one layout. Sums of sums in a fixed order: the same input gives
    the same bits.
    """
    n, channels, height, width = x.shape
    kernel = weight.shape[-1]
    tile = _tile(x, _power_of_2_below(GRADIENT_SUMS // kernel**2))
    items = n * dilation * triton.cdiv(triton.cdiv(height, dilation), RUN)
    items *= triton.cdiv(width, tile.columns)
    channel_blocks = triton.cdiv(channels, tile.channels)
    programs = min(items, max(GRADIENT_PROGRAMS // channel_blocks, 1))
    dtype = torch.promote_types(x.dtype, torch.float32)
    partial = torch.empty((programs, kernel**2 + 1, channels), dtype=dtype, device=x.device)
    if programs:
        with on_device(x):
            weight_gradient_kernel[(programs, channel_blocks)](
                x, grad, partial, n, *sizes(x), *strides(x),
                K=kernel, D=dilation, LENGTH=RUN, COLUMNS=tile.columns, CHANNELS=tile.channels,
                ACC=accumulator(x), num_stages=1,
            )  # fmt: skip
    sums = partial.sum(0)
    weight_sums, bias_sums = sums[:-1].t().reshape(weight.shape), sums[-1]
    return torch.empty_like(weight).copy_(weight_sums), torch.empty_like(bias).copy_(bias_sums)


def _run(
    x: Tensor,
    taps: Tensor,
    bias: Tensor | None,
    dilation: int,
    epilogue: tl.constexpr,
    grad: Tensor | None = None,
) -> Tensor:
    x = dense(x)
    out = torch.empty_like(x)
    bias = None if bias is None else bias.contiguous()
    tile, rows = _tile(x, TILE), _rows(x.shape[2], dilation)
    n, channels, height, width = x.shape
    blocks = triton.cdiv(channels, tile.channels) * triton.cdiv(width, tile.columns)
    programs = n * blocks * dilation * triton.cdiv(height, dilation * rows)
    if programs:
        with on_device(x):
            depthwise_kernel[(programs,)](
                x, taps, bias, grad, out, *sizes(x), *strides(x),
                K=round(taps.shape[0] ** 0.5), D=dilation, ROWS=rows,
                COLUMNS=tile.columns, CHANNELS=tile.channels, EPILOGUE=epilogue,
                ACC=accumulator(x), num_stages=1,
            )  # fmt: skip
    return out


def _tile(x: Tensor, size: int) -> Tile:
    """Lanes along the axis whose numbers are neighbours, the rest along the other one."""
    width, channels = (triton.next_power_of_2(x.shape[dim]) for dim in (3, 1))
    if layout_of(x) == torch.channels_last:
        lanes = min(LANES, size, channels)
        return Tile(min(size // lanes, width), lanes)
    lanes = min(LANES, size, width)
    return Tile(lanes, min(size // lanes, channels))


def _power_of_2_below(size: int) -> int:
    return 1 << max(size.bit_length() - 1, 0)


def _rows(height: int, dilation: int) -> int:
    return min(ROWS, triton.next_power_of_2(triton.cdiv(height, dilation)))
