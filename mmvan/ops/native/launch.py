"""From tensors to the C functions: layouts, the division of the work, and the sums at the end."""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from mmvan.ops.native.library import load_library

LANES = 16  # As in depthwise.c.
MAX_GROUP = 4
# Numbers in the planes of a job: 1 MB, about half of a core's second-level cache.
PLANES = 1 << 18
MIN_BAND = 16  # Rows; a pair with the published kernels reads 22 beside them.


class _Shape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int) for name in ("images", "height", "width", "channels", "band", "group")
    )


class _Taps(NamedTuple):
    """A kernel as the C functions read it."""

    weight: Tensor  # (K * K, C): the channels of a tap side by side.
    bias: Tensor
    size: int


def pair(
    x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, bias_2: Tensor, dilation: int
) -> Tensor:
    """Two depthwise convolutions in a row, the second one dilated."""
    images = _channels_last(x)
    out = torch.empty_like(images)
    first, second = _taps(weight_1, bias_1), _taps(weight_2, bias_2)
    shape = _divide(images, _halo(first, second, dilation), planes=2, max_group=1)
    _call("depthwise_pair", shape, images, *first, *second, dilation, out)
    return _as_laid_out(out, x)


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
    images, grad = _channels_last(x), _channels_last(grad)
    grad_x = torch.empty_like(images)
    first, second = _taps(weight_1, bias_1), _taps(weight_2, bias_2)
    shape = _divide(images, _halo(first, second, dilation), planes=4, max_group=1)
    sums_1, sums_2 = _partial_sums(shape, weight_1), _partial_sums(shape, weight_2)
    kernels = *first, second.weight, second.size, dilation
    _call("depthwise_pair_backward", shape, grad, images, *kernels, grad_x, sums_1, sums_2)
    return _as_laid_out(grad_x, x), *_total(sums_1, weight_1), *_total(sums_2, weight_2)


def gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU of a depthwise convolution."""
    images = _channels_last(x)
    out = torch.empty_like(images)
    taps = _taps(weight, bias)
    shape = _divide(images, taps.size - 1, planes=1, max_group=MAX_GROUP)
    _call("depthwise_gelu", shape, images, *taps, out)
    return _as_laid_out(out, x)


def gelu_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`gelu` for its three tensors."""
    images, grad = _channels_last(x), _channels_last(grad)
    grad_x = torch.empty_like(images)
    taps = _taps(weight, bias)
    shape = _divide(images, 2 * (taps.size - 1), planes=2, max_group=MAX_GROUP)
    sums = _partial_sums(shape, weight)
    _call("depthwise_gelu_backward", shape, grad, images, *taps, grad_x, sums)
    return _as_laid_out(grad_x, x), *_total(sums, weight)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _as_laid_out(out: Tensor, x: Tensor) -> Tensor:
    return out if x.is_contiguous(memory_format=torch.channels_last) else out.contiguous()


def _taps(weight: Tensor, bias: Tensor) -> _Taps:
    return _Taps(weight.flatten(1).t().contiguous(), bias.contiguous(), weight.shape[-1])


def _halo(first: _Taps, second: _Taps, dilation: int) -> int:
    return first.size - 1 + dilation * (second.size - 1)


def _divide(x: Tensor, halo: int, planes: int, max_group: int) -> _Shape:
    """Choose bands of rows and groups of channels; a band reads ``halo`` rows beside its own."""
    images, channels, height, width = x.shape
    group = max_group
    while channels % (LANES * group):
        group //= 2
    rows = PLANES // (planes * LANES * group * (width + halo)) - halo
    band = min(max(rows, MIN_BAND), max(height, 1))
    return _Shape(images, height, width, channels, band, group)


def _partial_sums(shape: _Shape, weight: Tensor) -> Tensor:
    """Room for the gradients of taps and bias of every image and band."""
    bands = -(-shape.height // shape.band)
    return weight.new_empty(shape.images * bands, weight[0].numel() + 1, shape.channels)


def _total(sums: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    total = sums.sum(0)
    return total[:-1].t().reshape(weight.shape).contiguous(), total[-1].clone()


def _call(name: str, shape: _Shape, *arguments: Tensor | int) -> None:
    threads = torch.get_num_threads()
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments]
    if getattr(load_library(), name)(ctypes.byref(shape), threads, *values):
        raise MemoryError(f"{name}: no memory for the planes of {threads} threads")
