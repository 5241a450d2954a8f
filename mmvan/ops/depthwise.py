"""Depthwise convolution that keeps its size, with a fast path for dilation on CPUs.

oneDNN's fast depthwise kernels have no dilation: a dilated one falls to a reference loop. But a
depthwise convolution with dilation ``d`` is exactly ``d * d`` independent plain ones, one on each
phase image (rows ``i mod d``, columns ``j mod d``). Rearranging to phases, running the plain
kernel once on a batch ``d * d`` times larger and rearranging back computes the same sums.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvan.errors import ModelError
from mmvan.ops.backends import Backend, choose_backend, own_choice
from mmvan.ops.observers import is_looked_at, is_recorded, is_transformed

OFFERS: tuple[Backend, ...] = ("torch", "phase_split")


def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    dilation: int = 1,
    backend: str | None = None,
) -> Tensor:
    """Depthwise convolution with stride 1 and zero padding that keeps height and width.

    Args:
        x: Input of shape (N, C, H, W), contiguous or channels_last; the output has its layout.
        weight: Kernel of shape (C, 1, K, K), with ``dilation * (K - 1)`` even.
        bias: Shape (C,), or None.
        dilation: Distance between neighbouring taps, in pixels.
        backend: ``torch``, ``phase_split``, or None for what :mod:`mmvan.ops.backends` says.
            Without dilation, and with an even kernel, both are the plain convolution.

    Returns:
        Output of shape (N, C, H, W).

    Raises:
        ModelError: There is no such backend.
    """
    rule: Backend = "phase_split" if phase_split_is_faster(x, weight, dilation) else "torch"
    automatic = own_choice(x, weight, offers=OFFERS, otherwise=rule)
    chosen = choose_backend("depthwise_conv2d", x, OFFERS, automatic, backend)
    if chosen == "phase_split" and _phases_are_apart(weight, dilation):
        return _phase_split(x, weight, bias, dilation)
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=x.shape[1])


def phase_split_is_faster(x: Tensor, weight: Tensor, dilation: int) -> bool:
    """Whether the phase-split form is possible and was measured faster than the plain one.

    On CPUs it was, forward and backward (`benchmarks/README.md`), but for the training of small
    contiguous maps in bfloat16.
    """
    return x.device.type == "cpu" and _phases_are_apart(weight, dilation)


def _phases_are_apart(weight: Tensor, dilation: int) -> bool:
    return dilation > 1 and weight.shape[-1] % 2 == 1


def _phase_split(x: Tensor, weight: Tensor, bias: Tensor | None, d: int) -> Tensor:
    n, c, height, width = x.shape
    padded = F.pad(x, (0, -width % d, 0, -height % d))
    h, w = padded.shape[2] // d, padded.shape[3] // d
    # Taps further out than a phase image is large only ever meet its padding.
    middle = weight.shape[-1] // 2
    reach = min(middle, max(h, w) - 1)
    taps = slice(middle - reach, middle + reach + 1)
    weight = weight[:, :, taps, taps]
    # The phases are made channels_last whatever the input is: whole channel vectors stay together
    # in memory, and the plain kernel is fastest on them.
    phases = padded.permute(0, 2, 3, 1).reshape(n, h, d, w, d, c).permute(0, 2, 4, 1, 3, 5)
    phases = phases.reshape(n * d * d, h, w, c).permute(0, 3, 1, 2)
    out = F.conv2d(phases, weight, bias, padding=reach, groups=c)
    out = out.permute(0, 2, 3, 1).reshape(n, d, d, h, w, c).permute(0, 3, 1, 4, 2, 5)
    out = out.reshape(n, h * d, w * d, c).permute(0, 3, 1, 2)[:, :, :height, :width]
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return out.contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )


class DepthwiseConv2d(nn.Conv2d):
    """Module form of :func:`depthwise_conv2d`; its parameters are those of ``nn.Conv2d``.

    Args:
        channels: Number of channels C.
        kernel_size: Taps per side K.
        dilation: Distance between neighbouring taps, in pixels.

    Raises:
        ModelError: If no symmetric padding keeps the size (``dilation * (kernel_size - 1)`` odd).
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int = 1) -> None:
        reach = dilation * (kernel_size - 1)
        if reach % 2:
            raise ModelError(
                f"kernel_size {kernel_size} with dilation {dilation} cannot keep the size of its "
                f"input: dilation * (kernel_size - 1) = {reach} must be even"
            )
        super().__init__(
            channels, channels, kernel_size, padding=reach // 2, dilation=dilation, groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        if is_recorded(x) or is_transformed(x) or is_looked_at():
            return super().forward(x)
        return depthwise_conv2d(x, self.weight, self.bias, self.dilation[0])
