"""Maps and parameters as kernels take them."""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton.language as tl
from torch import Tensor


def dense(x: Tensor) -> Tensor:
    """The map as it is if it is contiguous or channels_last, else a contiguous copy."""
    return x.contiguous(memory_format=layout_of(x))


def like(grad: Tensor, x: Tensor) -> Tensor:
    """The map ``grad`` in the layout of ``x``, which is dense."""
    return grad.contiguous(memory_format=layout_of(x))


def layout_of(x: Tensor) -> torch.memory_format:
    """The layout of a dense map, contiguous for any other."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def taps_first(weight: Tensor) -> Tensor:
    """(C, 1, K, K) as (K * K, C): the channels of a tap side by side."""
    return weight.flatten(1).t().contiguous()


def sizes(x: Tensor) -> tuple[int, int, int]:
    """Height, width and channels of a map (N, C, H, W)."""
    return x.shape[2], x.shape[3], x.shape[1]


def strides(x: Tensor) -> tuple[int, int, int, int]:
    """From one image, row, column and channel of a map (N, C, H, W) to the next."""
    image, channel, row, column = x.stride()
    return image, row, column, channel


def accumulator(x: Tensor) -> tl.dtype:
    """The type that sums are kept in."""
    return tl.float64 if x.dtype == torch.float64 else tl.float32


def multiprocessors(device: torch.device) -> int:
    """How many programs the device runs truly at once, at least."""
    if device.type != "cuda":
        return 1  # Triton's interpreter runs one program after the other.
    return torch.cuda.get_device_properties(device).multi_processor_count


def on_device(x: Tensor) -> AbstractContextManager[object]:
    """Launch kernels where the map is, as long as the context lasts."""
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()
