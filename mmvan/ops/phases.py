"""A dilated depthwise convolution as a plain one on its phase images.

oneDNN's fast depthwise kernels have no dilation: a dilated one falls to a reference loop. But a
depthwise convolution with dilation ``d`` is exactly ``d * d`` independent plain ones, one on each
phase image (rows ``i mod d``, columns ``j mod d``). Rearranging to phases, running the plain
kernel once on a batch ``d * d`` times larger and rearranging back computes the same sums.

``torch.compile`` sees one operator: generating code for the rearrangements of every block, and
again for other sizes of images, would take it minutes.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.library import custom_op

from mmvan.ops.autocast import to_autocast_type
from mmvan.ops.observers import in_channels_last

# A map may come in any layout and leaves in the same: inductor need not copy it before and after.
_HAS_TAGS = "tags" in inspect.signature(custom_op).parameters  # PyTorch 2.6 has none.
_OPTIONS: dict[str, Any] = {"tags": torch.Tag.flexible_layout} if _HAS_TAGS else {}


def split_conv(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """The convolution by phases.

    Args:
        x: Shape (N, C, H, W).
        weight: Shape (C, 1, K, K), K odd.
        bias: Shape (C,), or None.
        dilation: Distance between neighbouring taps, in pixels, at least 2.

    Returns:
        Tensor: Shape (N, C, H, W), in the layout of x.
    """
    if not torch.compiler.is_compiling():
        return _compute(x, weight, bias, dilation)
    narrow = to_autocast_type(x)
    bias = None if bias is None else bias.to(narrow.dtype)
    return depthwise_by_phases(narrow, weight.to(narrow.dtype), bias, dilation)


@custom_op("mmvan::depthwise_by_phases", mutates_args=(), **_OPTIONS)
def depthwise_by_phases(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """:func:`split_conv` as one operator."""
    return _compute(x, weight, bias, dilation)


@custom_op("mmvan::depthwise_by_phases_backward", mutates_args=(), **_OPTIONS)
def depthwise_by_phases_backward(
    grad: Tensor, x: Tensor, weight: Tensor, dilation: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for input, weight and bias, of their shapes."""
    channels = x.shape[1]
    phases = _to_phases(x, dilation)
    reach, taps = _used_taps(weight, phases)
    grad_phases, grad_taps, grad_bias = torch.ops.aten.convolution_backward(
        _to_phases(grad, dilation),
        phases,
        weight[:, :, taps, taps],
        [channels],
        *([1, 1], [reach, reach], [1, 1], False, [0, 0], channels),
        [True, True, True],
    )
    grad_weight = torch.zeros_like(weight)
    grad_weight[:, :, taps, taps] = grad_taps
    return _from_phases(grad_phases, x, dilation), grad_weight, grad_bias


@depthwise_by_phases.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x, memory_format=_layout(x))


@depthwise_by_phases_backward.register_fake
def _(_grad: Tensor, x: Tensor, weight: Tensor, _dilation: int) -> tuple[Tensor, Tensor, Tensor]:
    grad_x = torch.empty_like(x, memory_format=_layout(x))
    return grad_x, torch.empty_like(weight), weight.new_empty(x.shape[1])


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, ctx.bias, ctx.dilation = inputs
    ctx.save_for_backward(x, weight)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    *others, grad_bias = depthwise_by_phases_backward(grad, x, weight, ctx.dilation)
    return *others, None if ctx.bias is None else grad_bias, None


depthwise_by_phases.register_autograd(_gradients, setup_context=_keep_inputs)


def _compute(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    phases = _to_phases(x, dilation)
    reach, taps = _used_taps(weight, phases)
    out = F.conv2d(phases, weight[:, :, taps, taps], bias, padding=reach, groups=x.shape[1])
    return _from_phases(out, x, dilation)


def _to_phases(x: Tensor, d: int) -> Tensor:
    """Map (N, C, H, W) to (N * d * d, C, ceil(H / d), ceil(W / d)), padded by zeros."""
    n, c, height, width = x.shape
    padded = F.pad(x, (0, -width % d, 0, -height % d))
    h, w = padded.shape[2] // d, padded.shape[3] // d
    # The phases are made channels_last whatever the input is: whole channel vectors stay together
    # in memory, and the plain kernel is fastest on them.
    phases = padded.permute(0, 2, 3, 1).reshape(n, h, d, w, d, c).permute(0, 2, 4, 1, 3, 5)
    return phases.reshape(n * d * d, h, w, c).permute(0, 3, 1, 2)


def _from_phases(phases: Tensor, x: Tensor, d: int) -> Tensor:
    """Map phases back to the shape and the layout of x."""
    n, c, height, width = x.shape
    h, w = phases.shape[2:]
    out = phases.permute(0, 2, 3, 1).reshape(n, d, d, h, w, c).permute(0, 3, 1, 4, 2, 5)
    out = out.reshape(n, h * d, w * d, c).permute(0, 3, 1, 2)[:, :, :height, :width]
    return out.contiguous(memory_format=_layout(x))


def _used_taps(weight: Tensor, phases: Tensor) -> tuple[int, slice]:
    """How far the kernel reaches: taps further out than a phase is large only meet its padding."""
    middle = weight.shape[-1] // 2
    reach = min(middle, max(phases.shape[2:]) - 1)
    return reach, slice(middle - reach, middle + reach + 1)


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if in_channels_last(x) else torch.contiguous_format
