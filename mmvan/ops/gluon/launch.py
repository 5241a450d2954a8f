"""The pair in one pass; everything else is Triton's, and so is a pair that one pass cannot hold."""

import torch
import triton
from torch import Tensor
from triton.experimental.gluon import language as gl

from mmvan.ops.gluon.kernels import pair_kernel
from mmvan.ops.gluon.tiles import Plan, plan
from mmvan.ops.triton.launch import gelu, gelu_backward, pair_backward
from mmvan.ops.triton.launch import pair as pair_by_way_of_memory
from mmvan.ops.triton.maps import (
    accumulator,
    dense,
    layout_of,
    multiprocessors,
    on_device,
    sizes,
    strides,
    taps_first,
)

__all__ = ["gelu", "gelu_backward", "pair", "pair_backward"]

WARPS = 4
WARP = 32  # Threads.
VECTOR = 4  # Channels of a thread, side by side: 8 bytes of a half type.


def pair(
    x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, bias_2: Tensor, dilation: int
) -> Tensor:
    """Two depthwise convolutions in a row, the second one dilated, in one pass over the map.

    Where the rows that the second one needs do not fit into shared memory, it is Triton's pair.
    """
    x = dense(x)
    height, width, channels = sizes(x)
    kernel = weight_2.shape[-1]
    tiles = plan(height, width, channels, kernel, dilation, x.element_size()) if x.numel() else None
    if tiles is None:
        return pair_by_way_of_memory(x, weight_1, bias_1, weight_2, bias_2, dilation)
    out = torch.empty_like(x)
    blocks = x.shape[0] * tiles.column_blocks * triton.cdiv(channels, tiles.channels)
    strip = _strip(height, tiles.group, blocks, multiprocessors(x.device))
    of_map, of_ring = _layouts(tiles, layout_of(x) == torch.channels_last)
    with on_device(x):
        pair_kernel[(blocks * triton.cdiv(height, strip),)](
            x, taps_first(weight_1), bias_1.contiguous(), taps_first(weight_2),
            bias_2.contiguous(), out, *sizes(x), strip, tiles.column_blocks, *strides(x),
            K1=weight_1.shape[-1], K2=kernel, D=dilation,
            ROWS_1=tiles.rows_1, ROWS_2=tiles.rows_2,
            COLUMNS=tiles.columns, CHANNELS=tiles.channels, ACC=accumulator(x),
            OF_MAP=of_map, OF_RING=of_ring, SHARED=gl.SwizzledSharedLayout(1, 1, 1, [1, 0]),
            num_warps=WARPS,
        )  # fmt: skip
    return out


def _strip(height: int, group: int, blocks: int, programs: int) -> int:
    """Rows of a strip: long ones, as each begins anew, but for two of ``programs`` at a time."""
    groups = triton.cdiv(height, group)
    strips = min(groups, triton.cdiv(2 * programs, blocks))
    return triton.cdiv(groups, strips) * group


def _layouts(tiles: Plan, channels_last: bool) -> tuple[gl.BlockedLayout, gl.BlockedLayout]:
    """Which thread has what of a tile (columns, channels), in the map and in the ring.

    In the ring, neighbouring threads have neighbouring channels, and in the map what is neighbours
    there.
    """
    lanes = min(tiles.channels // VECTOR, WARP)
    of_ring = gl.BlockedLayout([1, VECTOR], [WARP // lanes, lanes], [WARPS, 1], [1, 0])
    if channels_last:
        return of_ring, of_ring
    vector = min(tiles.channels // WARPS, VECTOR)
    lanes = min(tiles.columns, WARP)
    of_map = gl.BlockedLayout([1, vector], [lanes, WARP // lanes], [1, WARPS], [1, 0])
    return of_map, of_ring
