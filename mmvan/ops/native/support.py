"""What the C operators can run."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mmvan.ops.native.launch import LANES
from mmvan.ops.native.library import BuildError, load_library

SIZES = (3, 5, 7)  # Taps per side.


def faults(x: Tensor, *parameters: Tensor) -> Iterator[str]:
    """Tell why the C operators cannot compute an input; nothing if they can.

    Args:
        x: Map of shape (N, C, H, W).
        parameters: Weights (C, 1, K, K) and biases (C,) of the depthwise convolutions.
    """
    for tensor in (x, *parameters):
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
            yield f"computes float32 on CPUs, got {tensor.dtype} on {tensor.device}"
    if x.shape[1] % LANES:
        yield f"needs a multiple of {LANES} channels, got {x.shape[1]}"
    for weight in parameters:
        if weight.dim() == 4 and weight.shape[-1] not in SIZES:
            yield f"needs kernels of {SIZES} taps per side, got {weight.shape[-1]}"
    try:
        load_library()
    except BuildError as error:
        yield f"was not built: {error}"
