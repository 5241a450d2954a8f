"""Operators of the Visual Attention Network. Of other libraries they import torch only."""

from mmvan.ops.depthwise import DepthwiseConv2d, depthwise_conv2d

__all__ = ["DepthwiseConv2d", "depthwise_conv2d"]
