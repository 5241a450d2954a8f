"""What the kernels can run, told before they are imported."""

import importlib.util
import os
from collections.abc import Iterator

import torch
from torch import Tensor

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def faults(x: Tensor, *parameters: Tensor) -> Iterator[str]:
    """Tell why the Triton kernels cannot compute an input; nothing if they can.

    Args:
        x: Map of shape (N, C, H, W).
        parameters: Weight (C, 1, K, K) and bias (C,) of each depthwise convolution in turn.
    """
    yield from _faults_of_machine(x)
    yield from _faults_of_map(x)
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        yield from _faults_of(x, weight, bias)


def _faults_of_machine(x: Tensor) -> Iterator[str]:
    if importlib.util.find_spec("triton") is None:
        yield "needs the package triton, which is not installed"
    if x.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        yield (
            "needs a CUDA GPU, or TRITON_INTERPRET=1 for Triton's slow interpreter, got an input "
            f"on {x.device.type}"
        )


def _faults_of_map(x: Tensor) -> Iterator[str]:
    if x.dtype not in DTYPES:
        yield f"computes {', '.join(map(str, DTYPES))}, got {x.dtype}"
    if x.dim() != 4:
        yield f"needs an input of shape (N, C, H, W), got {tuple(x.shape)}"


def _faults_of(x: Tensor, weight: Tensor, bias: Tensor) -> Iterator[str]:
    channels, kernel = x.shape[1], weight.shape[-1]
    shapes = tuple(weight.shape), tuple(bias.shape)
    if shapes != ((channels, 1, kernel, kernel), (channels,)):
        yield (
            f"needs a weight of shape ({channels}, 1, K, K) and a bias of shape ({channels},) for "
            f"an input of shape {tuple(x.shape)}, got {shapes[0]} and {shapes[1]}"
        )
    if kernel % 2 == 0:
        yield f"needs kernels of odd size, got {kernel}"
    for tensor in (weight, bias):
        if tensor.device != x.device or tensor.dtype not in DTYPES:
            yield (
                f"needs parameters of a floating type on {x.device}, got {tensor.dtype} on "
                f"{tensor.device}"
            )
