"""The depthwise convolution and the activation of VAN's feed-forward network as one call."""

import torch.nn.functional as F
from torch import Tensor

from mmvan.ops import library
from mmvan.ops.autocast import to_autocast_type
from mmvan.ops.backends import KERNELS, choose_backend, own_choice
from mmvan.ops.depthwise import depthwise_conv2d


def depthwise_gelu(x: Tensor, weight: Tensor, bias: Tensor, backend: str | None = None) -> Tensor:
    """``gelu(conv(x))`` with the exact GELU and a depthwise convolution that keeps the size.

    With ``native`` and ``triton``, whose kernels ``gluon`` takes here, this is one kernel, which
    does not round in between, and backward keeps nothing but x.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last; the output has its layout.
        weight: Shape (C, 1, K, K), K odd.
        bias: Shape (C,).
        backend: ``torch``, ``native``, ``triton``, ``gluon``, or None for what
            :mod:`mmvan.ops.backends` says.

    Returns:
        Shape (N, C, H, W).

    Raises:
        ModelError: There is no such backend, or it cannot compute this.
    """
    narrow = to_autocast_type(x)
    offers = ("torch", *KERNELS)
    automatic = own_choice(narrow, weight, offers=offers)
    tensors = (narrow, weight, bias)
    chosen = choose_backend("depthwise_gelu", tensors, offers, automatic, backend)
    if chosen in KERNELS:
        return library.depthwise_gelu(narrow, weight, bias, chosen)
    return F.gelu(depthwise_conv2d(x, weight, bias, 1, "torch"))
