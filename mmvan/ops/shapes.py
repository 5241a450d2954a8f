"""What fits together in a depthwise convolution, whatever computes it."""

from collections.abc import Iterator

from torch import Tensor


def shape_faults(x: Tensor, *parameters: Tensor) -> Iterator[str]:
    """Tell which shapes and devices do not fit together; nothing if all do.

    Args:
        x: Map of shape (N, C, H, W).
        parameters: Weight (C, 1, K, K) and bias (C,) of each depthwise convolution in turn.
    """
    if x.dim() != 4:
        yield f"needs an input of shape (N, C, H, W), got {tuple(x.shape)}"
        return
    channels = x.shape[1]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        size = weight.shape[-1]
        shapes = tuple(weight.shape), tuple(bias.shape)
        if shapes != ((channels, 1, size, size), (channels,)):
            yield (
                f"needs a weight of shape ({channels}, 1, K, K) and a bias of shape ({channels},) "
                f"for an input of shape {tuple(x.shape)}, got {shapes[0]} and {shapes[1]}"
            )
        if size % 2 == 0:
            yield f"needs kernels of odd size, got {size}"
    for tensor in parameters:
        if tensor.device != x.device:
            yield f"needs parameters on {x.device}, got {tensor.device}"
