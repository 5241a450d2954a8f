"""What all figures have in common: a title, a note of their origin, maps with a scale."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

_DPI = 120


def new_figure(
    rows: int, columns: int, title: str, note: str, size: tuple[float, float] = (3.2, 3.0)
) -> tuple[Figure, NDArray[Any]]:
    """A figure with a grid of axes.

    Args:
        rows: Rows of the grid.
        columns: Columns of the grid.
        title: What is shown.
        note: Model, weights and how it was computed, below the grid.
        size: Width and height of one cell, in inches.

    Returns:
        tuple[Figure, NDArray[Any]]: The figure and its axes, shape (rows, columns).
    """
    width, height = size[0] * columns, size[1] * rows + 0.9
    figure = Figure(figsize=(max(width, 6.4), height), layout="constrained")
    figure.suptitle(title, fontsize="medium", fontweight="bold")
    figure.supxlabel(note, fontsize="x-small", color="0.35", wrap=True)
    return figure, figure.subplots(rows, columns, squeeze=False)


def show_image(axes: Axes, image: NDArray[Any], title: str) -> None:
    """An image without ticks.

    Args:
        axes: Where.
        image: RGB, shape (height, width, 3).
        title: Above it.
    """
    axes.imshow(image)
    axes.set_title(title, fontsize="small")
    axes.set_axis_off()


def show_map(
    axes: Axes,
    values: NDArray[Any],
    title: str,
    unit: str,
    over: NDArray[Any] | None = None,
    colours: str = "viridis",
) -> None:
    """A map in colours, with its scale.

    Args:
        axes: Where.
        values: Shape (height, width).
        title: Above it.
        unit: What the values are, at the scale.
        over: An image of the same size to see through the map.
        colours: One of Matplotlib's colour maps.
    """
    if over is not None:
        axes.imshow(np.asarray(over).mean(-1), cmap="gray", vmin=0, vmax=255)
    # Zero is in the middle of a map of two colours.
    limit = float(np.abs(values).max()) if colours == "coolwarm" else None
    low = None if limit is None else -limit
    alpha = None if over is None else 0.5
    drawn = axes.imshow(values, cmap=colours, alpha=alpha, vmin=low, vmax=limit)
    axes.set_title(title, fontsize="small")
    axes.set_axis_off()
    bar = axes.get_figure().colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)  # type: ignore[union-attr]
    bar.set_label(unit, fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small")
    bar.solids.set_alpha(1)  # type: ignore[union-attr]


def save(figure: Figure, out: Path) -> None:
    """Write a figure; the ending chooses the format."""
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=_DPI)
