"""Maps of large kernel attention, which multiply the features (paper, section 3.1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from mmvan.models.layers import LargeKernelAttention
from mmvan.visualization.figures import new_figure, show_image, show_map
from mmvan.visualization.network_input import NetworkInput, find_backbone, record


def attention_map(lka: LargeKernelAttention, x: Tensor) -> Tensor:
    """The attention before it meets its input: the convolutions, and the sigmoid if there is one.

    Args:
        lka: The module.
        x: Its input, shape (N, C, H, W).

    Returns:
        Tensor: Shape (N, C, H, W); without a sigmoid of any sign and size.
    """
    with torch.no_grad():
        for conv in lka.children():
            x = conv(x)
        return x.sigmoid() if lka.sigmoid else x


def attention_of_stages(
    model: torch.nn.Module, given: NetworkInput, block: int = -1
) -> list[NDArray[np.float32]]:
    """Of one block of each stage, the mean over the channels of the attention's magnitude.

    Args:
        model: A model with VAN inside.
        given: The image.
        block: Which block of a stage; -1 is the last one.

    Returns:
        list[NDArray[np.float32]]: One map per stage in the image's size, shape (height, width).
    """
    backbone: Any = find_backbone(model)
    modules = [stage.blocks[block].attn.lka for stage in backbone.stages]
    received = record(modules, lambda: backbone(given.tensor), inputs=True)
    maps = [
        attention_map(lka, x)[0].abs().mean(0) for lka, x in zip(modules, received, strict=True)
    ]
    return [given.enlarge(each) for each in maps]


def plot(model: torch.nn.Module, images: Sequence[NetworkInput], note: str) -> Figure:
    """One row per image: the image, and the map of each stage over it."""
    rows = [attention_of_stages(model, given) for given in images]
    title = "Large kernel attention, last block of each stage"
    figure, axes = new_figure(len(images), 1 + len(rows[0]), title, note)
    for row, given, maps in zip(axes, images, rows, strict=True):
        show_image(row[0], given.image, given.name)
        for i, values in enumerate(maps, start=1):
            unit = "mean over channels of |attention|"
            show_map(row[i], values, f"stage {i}", unit, given.image, "turbo")
    return figure
