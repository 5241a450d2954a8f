"""What the kernels can run, told before they are imported."""

import importlib.util
import os
from collections.abc import Iterator

import torch
from torch import Tensor

from mmvan.ops.shapes import shape_faults

LARGEST = 2**31 - 1  # The kernels count in 32 bits within an image, in 64 over the batch.
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def faults(x: Tensor, *parameters: Tensor) -> Iterator[str]:
    """Tell why the Triton kernels cannot compute an input; nothing if they can.

    Args:
        x: Map of shape (N, C, H, W).
        parameters: Weight (C, 1, K, K) and bias (C,) of each depthwise convolution in turn.
    """
    yield from device_faults(x.device)
    yield from shape_faults(x, *parameters)
    if x[:1].numel() > LARGEST:
        yield f"counts to {LARGEST} in an image's map, got one of shape {tuple(x.shape)}"
    for tensor in (x, *parameters):
        if tensor.dtype not in DTYPES:
            yield f"computes {', '.join(map(str, DTYPES))}, got {tensor.dtype}"


def device_faults(device: torch.device) -> Iterator[str]:
    """Tell why the Triton kernels cannot run on a device at all; nothing if they can."""
    if importlib.util.find_spec("triton") is None:
        yield "needs the package triton, which is not installed"
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        yield (
            "needs a CUDA GPU, or TRITON_INTERPRET=1 for Triton's slow interpreter, got an input "
            f"on {device.type}"
        )
