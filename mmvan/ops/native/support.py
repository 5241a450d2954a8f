"""What the C operators can run, and whether they are there."""

import functools
import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from mmvan.ops.native.launch import LANES
from mmvan.ops.native.library import BuildError, load_library
from mmvan.ops.shapes import shape_faults

SIZES = (3, 5, 7)  # Taps per side.

_logger = logging.getLogger(__name__)


def faults(x: Tensor, *parameters: Tensor) -> Iterator[str]:
    """Tell why the C operators cannot compute an input; nothing if they can.

    Args:
        x: Map of shape (N, C, H, W).
        parameters: Weight (C, 1, K, K) and bias (C,) of each depthwise convolution in turn.
    """
    yield from shape_faults(x, *parameters)
    if not supports(x, *parameters):
        found = ", ".join(f"{tuple(t.shape)} {t.dtype} {t.device}" for t in (x, *parameters[::2]))
        yield (
            f"computes float32 on CPUs, a multiple of {LANES} channels, and kernels with {SIZES} "
            f"taps per side, got {found}"
        )
    if build_fault():
        yield f"could not be built: {build_fault()}"


def supports(x: Tensor, *parameters: Tensor) -> bool:
    """Whether the C operators, where they are built, compute maps and kernels of this kind."""
    tensors = (x, *parameters)
    on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
    kernels = [tensor for tensor in parameters if tensor.dim() == 4]
    return (
        on_cpu
        and all(tensor.dtype == torch.float32 for tensor in tensors)
        and x.shape[1] % LANES == 0
        and all(kernel.shape[-1] in SIZES for kernel in kernels)
    )


def build_fault() -> str | None:
    """Why the C operators cannot be built here, which the log says too; None if they can."""
    return _build_fault()


# All that torch.compiler.assume_constant_result does, but for the import of PyTorch's compiler and
# of Triton, which would take every process a second.
vars(build_fault)["_dynamo_marked_constant"] = True


@functools.cache
def _build_fault() -> str | None:
    try:
        load_library()
    except BuildError as error:
        _logger.warning("depthwise convolutions take slower ways, because %s", error)
        return str(error)
    return None
