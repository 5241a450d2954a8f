"""Weights of a first convolution for images with another number of channels."""

import math

from torch import Tensor


def adapt_input_conv(weight: Tensor, in_channels: int) -> Tensor:
    """Fit a convolution of RGB images to another number of channels, as timm does.

    For one channel the three are summed, so that a grey image gives what it gave as RGB. For others
    they are repeated in order and scaled by 3 / in_channels, which keeps the size of the sums.

    Args:
        weight: Shape (C, 3, K, K).
        in_channels: Channels of the images.

    Returns:
        Tensor: Shape (C, in_channels, K, K), of the type of ``weight``.
    """
    if in_channels == 1:
        return weight.float().sum(dim=1, keepdim=True).to(weight.dtype)
    repeated = weight.float().repeat(1, math.ceil(in_channels / 3), 1, 1)[:, :in_channels]
    return (repeated * (3 / in_channels)).to(weight.dtype)
