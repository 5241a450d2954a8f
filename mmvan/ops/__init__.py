"""Operators of the Visual Attention Network. Of other libraries they import torch only.

Triton, where it is asked for, itself or its Gluon, is imported when the first of its kernels runs.
"""

from mmvan.ops.attention import large_kernel_attention
from mmvan.ops.backends import BACKENDS, add_kernels, requested_backend, use_backend
from mmvan.ops.choice import describe_choice, restore_choice
from mmvan.ops.depthwise import depthwise_conv2d, make_depthwise_conv, run_conv
from mmvan.ops.feed_forward import depthwise_gelu
from mmvan.ops.fusion import kernels_are_fused

__all__ = [
    "BACKENDS",
    "add_kernels",
    "depthwise_conv2d",
    "depthwise_gelu",
    "describe_choice",
    "kernels_are_fused",
    "large_kernel_attention",
    "make_depthwise_conv",
    "requested_backend",
    "restore_choice",
    "run_conv",
    "use_backend",
]
