"""Depthwise convolution that keeps its size, with a fast path for dilation on CPUs."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmvan.errors import ModelError
from mmvan.ops.backends import choose_backend, own_choice
from mmvan.ops.observers import are_watched, is_depthwise, is_seen
from mmvan.ops.phases import split_conv

OFFERS = ("torch", "phase_split")


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
    rule = "phase_split" if phase_split_is_faster(x, weight, dilation) else "torch"
    automatic = own_choice(x, weight, offers=OFFERS, otherwise=rule)
    tensors = (x, weight, bias)
    chosen = choose_backend("depthwise_conv2d", tensors, OFFERS, automatic, backend)
    if chosen == "phase_split" and _phases_are_apart(weight, dilation):
        return split_conv(x, weight, bias, dilation)
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


def make_depthwise_conv(channels: int, kernel_size: int, dilation: int = 1) -> nn.Conv2d:
    """Build a depthwise convolution that keeps height and width.

    It is PyTorch's own class, so that whatever wraps, replaces, prunes or quantises convolutions
    knows it; :func:`run_conv` computes it the fast way.

    Args:
        channels: Number of channels C.
        kernel_size: Taps per side K.
        dilation: Distance between neighbouring taps, in pixels.

    Raises:
        ModelError: If no symmetric padding keeps the size (``dilation * (kernel_size - 1)`` odd).
    """
    reach = dilation * (kernel_size - 1)
    if reach % 2:
        raise ModelError(
            f"kernel_size {kernel_size} with dilation {dilation} cannot keep the size of its "
            f"input: dilation * (kernel_size - 1) = {reach} must be even"
        )
    return nn.Conv2d(
        channels, channels, kernel_size, padding=reach // 2, dilation=dilation, groups=channels
    )


def run_conv(conv: nn.Module, x: Tensor) -> Tensor:
    """``conv(x)``, by :func:`depthwise_conv2d` where nobody can tell the difference.

    Args:
        conv: What stands where a depthwise convolution was built: itself, or what a user put there.
        x: Shape (N, C, H, W).
    """
    seen = is_seen(x) or are_watched((conv,), (nn.Conv2d,))
    if not seen and is_depthwise(conv):
        return depthwise_conv2d(x, conv.weight, conv.bias, conv.dilation[0])
    return conv(x)
