"""The C operators as PyTorch operators with gradients.

They keep their input alone for the backward pass and compute the rest again, a part of the image
at a time. There are no gradients of the gradients: PyTorch says so when they are asked for.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from mmvan.ops.native.library import load_library

LANES = 16  # As in depthwise.c.
SIZES = (3, 5, 7)
MAX_GROUP = 4
# Numbers of a job's planes: 1 MB, half of the smallest second-level cache per core of a server.
PLANES = 1 << 18
MIN_BAND = 16


class _Shape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int)
        for name in ("images", "height", "width", "channels", "band", "group")
    )


def unsupported(x: Tensor, *weights: Tensor) -> str | None:
    """Why the C operators do not take a map, or None if they do.

    Args:
        x: The map, (N, C, H, W).
        weights: The kernels, (C, 1, K, K).
    """
    if x.device.type != "cpu":
        return f"they are for CPUs, got {x.device}"
    if x.dtype != torch.float32 or any(weight.dtype != torch.float32 for weight in weights):
        return f"they are for float32, got {x.dtype} and {weights[0].dtype}"
    if x.shape[1] % LANES:
        return f"the channels must be a multiple of {LANES}, got {x.shape[1]}"
    sizes = [weight.shape[-1] for weight in weights]
    if not set(sizes) <= set(SIZES):
        return f"the kernels must have {SIZES} taps per side, got {sizes}"
    return None


@torch.library.custom_op("mmvan::native_depthwise_gelu", mutates_args=())
def depthwise_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU of a depthwise convolution with stride 1 that keeps the size.

    Args:
        x: Shape (N, C, H, W), any layout; see :func:`unsupported`.
        weight: Shape (C, 1, K, K).
        bias: Shape (C,).

    Returns:
        Tensor: Shape (N, C, H, W), channels_last.
    """
    x = _channels_last(x)
    out = torch.empty_like(x)
    taps, bias = _taps(weight), bias.contiguous()
    shape = _shape_of(x, halo=weight.shape[-1] - 1, planes=1, max_group=MAX_GROUP)
    _call("depthwise_gelu", shape, x, taps, bias, weight.shape[-1], out)
    return out


@torch.library.custom_op("mmvan::native_depthwise_gelu_backward", mutates_args=())
def _depthwise_gelu_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    grad, x = _channels_last(grad), _channels_last(x)
    grad_x = torch.empty_like(x)
    size = weight.shape[-1]
    shape = _shape_of(x, halo=2 * (size - 1), planes=2, max_group=MAX_GROUP)
    sums = _partial_sums(shape, weight)
    taps, bias = _taps(weight), bias.contiguous()
    _call("depthwise_gelu_backward", shape, grad, x, taps, bias, size, grad_x, sums)
    return grad_x, *_total(sums, weight)


@torch.library.custom_op("mmvan::native_depthwise_pair", mutates_args=())
def depthwise_pair(
    x: Tensor,
    weight_1: Tensor,
    bias_1: Tensor,
    weight_2: Tensor,
    bias_2: Tensor,
    dilation: int,
) -> Tensor:
    """Two depthwise convolutions in a row, the second with dilation; both keep the size.

    Args:
        x: Shape (N, C, H, W), any layout; see :func:`unsupported`.
        weight_1: Shape (C, 1, K, K).
        bias_1: Shape (C,).
        weight_2: Shape (C, 1, L, L).
        bias_2: Shape (C,).
        dilation: Distance between neighbouring taps of the second one, in pixels.

    Returns:
        Tensor: Shape (N, C, H, W), channels_last.
    """
    x = _channels_last(x)
    out = torch.empty_like(x)
    size_1, size_2 = weight_1.shape[-1], weight_2.shape[-1]
    halo = size_1 - 1 + dilation * (size_2 - 1)
    shape = _shape_of(x, halo, planes=2, max_group=1)
    first = _taps(weight_1), bias_1.contiguous(), size_1
    second = _taps(weight_2), bias_2.contiguous(), size_2
    _call("depthwise_pair", shape, x, *first, *second, dilation, out)
    return out


@torch.library.custom_op("mmvan::native_depthwise_pair_backward", mutates_args=())
def _depthwise_pair_backward(
    grad: Tensor, x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, dilation: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grad, x = _channels_last(grad), _channels_last(x)
    grad_x = torch.empty_like(x)
    size_1, size_2 = weight_1.shape[-1], weight_2.shape[-1]
    halo = size_1 - 1 + dilation * (size_2 - 1)
    shape = _shape_of(x, halo, planes=4, max_group=1)
    sums_1, sums_2 = _partial_sums(shape, weight_1), _partial_sums(shape, weight_2)
    first = _taps(weight_1), bias_1.contiguous(), size_1
    second = _taps(weight_2), size_2, dilation
    _call("depthwise_pair_backward", shape, grad, x, *first, *second, grad_x, sums_1, sums_2)
    return grad_x, *_total(sums_1, weight_1), *_total(sums_2, weight_2)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _taps(weight: Tensor) -> Tensor:
    """(C, 1, K, K) as (K * K, C): the channels of a tap side by side."""
    return weight.flatten(1).t().contiguous()


def _shape_of(x: Tensor, halo: int, planes: int, max_group: int) -> _Shape:
    """How the work on a map is divided; ``halo`` rows of a band are read beside its own."""
    images, channels, height, width = x.shape
    group = max_group
    while channels % (LANES * group):
        group //= 2
    rows = PLANES // (planes * LANES * group * (width + halo)) - halo
    return _Shape(images, height, width, channels, min(height, max(rows, MIN_BAND)), group)


def _partial_sums(shape: _Shape, weight: Tensor) -> Tensor:
    """Room for the gradients of taps and bias per image and band."""
    bands = -(-shape.height // shape.band)
    return weight.new_empty(shape.images * bands, weight[0].numel() + 1, shape.channels)


def _total(sums: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    total = sums.sum(0)
    return total[:-1].t().reshape(weight.shape).contiguous(), total[-1].clone()


def _call(name: str, shape: _Shape, *arguments: Tensor | int) -> None:
    function = getattr(load_library(), name)
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments]
    if function(ctypes.byref(shape), torch.get_num_threads(), *values):
        raise MemoryError(f"{name}: no memory for the planes of {torch.get_num_threads()} threads")


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: Sequence[object], output: Tensor) -> None:
    ...
