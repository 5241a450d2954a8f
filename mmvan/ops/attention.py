"""Large kernel attention (arXiv 2202.09741, section 3.1) as one call."""

import torch.nn.functional as F
from torch import Tensor

from mmvan.ops.autocast import to_autocast_type
from mmvan.ops.backends import BACKENDS, KERNELS, choose_backend, own_choice
from mmvan.ops.depthwise import depthwise_conv2d, phase_split_is_faster
from mmvan.ops.library import depthwise_pair

OFFERS = BACKENDS


def large_kernel_attention(
    x: Tensor,
    dw_weight: Tensor,
    dw_bias: Tensor,
    dw_d_weight: Tensor,
    dw_d_bias: Tensor,
    pw_weight: Tensor,
    pw_bias: Tensor,
    dilation: int = 3,
    backend: str | None = None,
) -> Tensor:
    """``x * conv1x1(dw_d(dw(x)))``, where both depthwise convolutions keep the size.

    With ``native``, ``triton`` and ``gluon`` these two are one kernel forward and backward keeps
    nothing but x. The 1x1 convolution and the gate are PyTorch's in every backend: the one is a
    matrix product, the other ``torch.compile`` fuses with its neighbours.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last; the output has its layout.
        dw_weight: Local kernel of shape (C, 1, K, K), K odd.
        dw_bias: Shape (C,).
        dw_d_weight: Dilated kernel of shape (C, 1, K, K), with its own K.
        dw_d_bias: Shape (C,).
        pw_weight: Shape (C, C, 1, 1).
        pw_bias: Shape (C,).
        dilation: Distance between neighbouring taps of the dilated kernel, in pixels.
        backend: One of ``BACKENDS``, or None for what :mod:`mmvan.ops.backends` says.

    Returns:
        Shape (N, C, H, W).

    Raises:
        ModelError: There is no such backend, or it cannot compute this.
    """
    narrow = to_autocast_type(x)
    rule = "phase_split" if phase_split_is_faster(x, dw_d_weight, dilation) else "torch"
    automatic = own_choice(narrow, dw_weight, dw_d_weight, offers=OFFERS, otherwise=rule)
    kernels = (dw_weight, dw_bias, dw_d_weight, dw_d_bias)
    tensors = (narrow, *kernels)
    chosen = choose_backend("large_kernel_attention", tensors, OFFERS, automatic, backend)
    if chosen in KERNELS:
        attn = depthwise_pair(narrow, *kernels, dilation, chosen)
    else:
        attn = depthwise_conv2d(x, dw_weight, dw_bias, 1, chosen)
        attn = depthwise_conv2d(attn, dw_d_weight, dw_d_bias, dilation, chosen)
    return x * F.conv2d(attn, pw_weight, pw_bias)
