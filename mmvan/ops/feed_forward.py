"""The depthwise convolution and the activation of VAN's feed-forward network as one call."""

import torch.nn.functional as F
from torch import Tensor

from mmvan.ops.autocast import to_autocast_type
from mmvan.ops.backends import Backend, choose_backend
from mmvan.ops.depthwise import depthwise_conv2d
from mmvan.ops.triton import library

OFFERS: tuple[Backend, ...] = ("torch", "triton")


def depthwise_gelu(x: Tensor, weight: Tensor, bias: Tensor, backend: str | None = None) -> Tensor:
    """``gelu(conv(x))`` with the exact GELU and a depthwise convolution that keeps the size.

    With ``triton`` this is one kernel, which does not round in between, and backward keeps nothing
    but x; it has no second derivative.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last; the output has its layout.
        weight: Shape (C, 1, K, K), K odd.
        bias: Shape (C,).
        backend: ``torch``, ``triton``, or None for what :mod:`mmvan.ops.backends` says.

    Returns:
        Shape (N, C, H, W).

    Raises:
        ModelError: There is no such backend, or it cannot compute this.
    """
    if choose_backend("depthwise_gelu", x, OFFERS, "torch", backend) == "triton":
        return library.depthwise_gelu(to_autocast_type(x), weight, bias)
    return F.gelu(depthwise_conv2d(x, weight, bias, 1, "torch"))
