"""The effective receptive field (Luo et al., arXiv 1701.04128)."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from mmvan.errors import ConfigError
from mmvan.models.van import VAN
from mmvan.visualization.figures import new_figure, show_map

# Of the contribution, the shares whose square is told, two of RepLKNet's (arXiv 2203.06717).
SHARES = (0.5, 0.99)


def effective_receptive_field(
    network: Callable[[Tensor], Tensor], images: Iterable[Tensor]
) -> NDArray[np.float64]:
    """How much each pixel of the input moves the centre of the output.

    It is the mean over the images of the gradient's magnitude, summed over the channels of the
    input; what is differentiated is the sum of the positive channels of the output's central unit,
    as RepLKNet's script does. The sum of all is constant behind a LayerNorm without weights of its
    own, as before training: its gradient would be rounding errors.

    Args:
        network: Maps (1, C, H, W) to (1, D, h, w).
        images: Inputs of one size.

    Returns:
        NDArray[np.float64]: Shape (H, W), not normalised.
    """
    total: Tensor | None = None
    count = 0
    for image in images:
        x = image.detach().clone().requires_grad_()
        out = network(x)
        centre = out[:, :, out.shape[2] // 2, out.shape[3] // 2].relu().sum()
        (gradient,) = torch.autograd.grad(centre, x)
        field = gradient.abs().sum((0, 1)).double()
        total = field if total is None else total + field
        count += 1
    assert total is not None, "no image"
    return (total / count).cpu().numpy()


def square_of_share(field: NDArray[np.float64], share: float) -> int:
    """Side of the smallest square around the centre that holds a share of the field.

    Args:
        field: Shape (H, W).
        share: From 0 to 1.

    Returns:
        int: In pixels; at most the longer side of the field.
    """
    row, column = field.shape[0] // 2, field.shape[1] // 2
    longest = max(field.shape)
    for radius in range(longest // 2 + 1):
        part = field[max(row - radius, 0) : row + radius + 1]
        if part[:, max(column - radius, 0) : column + radius + 1].sum() >= share * field.sum():
            return min(2 * radius + 1, longest)
    return longest


def plot(fields: Sequence[tuple[str, NDArray[np.float64]]], note: str) -> Figure:
    """One map per field: the common logarithm of its values relative to the largest one.

    Raises:
        ConfigError: A field is zero everywhere, or not finite somewhere.
    """
    for name, field in fields:
        if not 0 < field.max() < np.inf:
            raise ConfigError(
                f"erf: the largest gradient of {name} is {field.max():g}, expected a positive "
                "number: these weights overflow, or give the same output for every image"
            )
    columns = min(len(fields), 4)
    rows = -(-len(fields) // columns)
    title = "Effective receptive field of the central unit"
    figure, axes = new_figure(rows, columns, title, note, (3.4, 3.0))
    for place in axes.flat[len(fields) :]:
        place.set_axis_off()
    for place, (name, field) in zip(axes.flat, fields, strict=False):
        relative = np.log10(np.maximum(field / field.max(), 1e-6))
        half, most = (square_of_share(field, share) for share in SHARES)
        height, width = field.shape
        text = f"{name}\n50 % in {half} px, 99 % in {most} px, of {width} x {height}"
        show_map(place, relative, text, "log10 of the share of the maximum", None, "magma")
    return figure


def plot_stages(backbone: VAN, images: Sequence[Tensor], note: str) -> Figure:
    """The fields of all stages of a backbone.

    Args:
        backbone: In evaluation mode.
        images: Normalised inputs of one size, shape (1, 3, H, W).
        note: Below the figure.
    """

    def outputs_of(stage: int) -> Callable[[Tensor], Tensor]:
        def network(x: Tensor) -> Tensor:
            for part in backbone.stages[: stage + 1]:
                x = part(x)
            return x

        return network

    fields = [
        (f"stage {i + 1}", effective_receptive_field(outputs_of(i), images))
        for i in range(len(backbone.stages))
    ]
    return plot(fields, f"{note}; mean of {len(images)} images")
