"""What the kernels can run, told before they are imported."""

import importlib.util
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from mmvan.ops.triton.support import device_faults as device_faults_of_triton
from mmvan.ops.triton.support import faults as faults_of_triton

OLDEST = (3, 7)  # Triton's version: Gluon is experimental there and changes from one to the next.
CAPABILITY = (8, 0)


def faults(x: Tensor, *parameters: Tensor) -> Iterator[str]:
    """Tell why the kernels in Gluon cannot compute an input; nothing if they can.

    Args:
        x: Map of shape (N, C, H, W).
        parameters: Weight (C, 1, K, K) and bias (C,) of each depthwise convolution in turn.
    """
    yield from _faults_of_machine(x.device)
    yield from faults_of_triton(x, *parameters)


def device_faults(device: torch.device) -> Iterator[str]:
    """Tell why the kernels cannot run on a device at all; nothing if they can."""
    yield from _faults_of_machine(device)
    yield from device_faults_of_triton(device)


def _faults_of_machine(device: torch.device) -> Iterator[str]:
    if device.type != "cuda":
        yield f"needs an NVIDIA GPU, got an input on {device.type}"
    elif torch.version.hip is not None:
        yield "needs an NVIDIA GPU, got one of AMD"
    else:
        found = torch.cuda.get_device_capability(device)
        if found < CAPABILITY:
            needed, got = (".".join(map(str, version)) for version in (CAPABILITY, found))
            yield f"needs a GPU of compute capability {needed} or higher, got {got}"
    if importlib.util.find_spec("triton") is not None:
        yield from _faults_of_version(importlib.import_module("triton").__version__)


def _faults_of_version(version: str) -> Iterator[str]:
    major, minor = re.findall(r"\d+", version)[:2]
    if (int(major), int(minor)) < OLDEST:
        yield f"needs triton {OLDEST[0]}.{OLDEST[1]} or newer, for its Gluon, got {version}"
