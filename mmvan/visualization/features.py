"""Feature maps of the stages."""

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from mmvan.visualization.figures import new_figure, show_image, show_map
from mmvan.visualization.network_input import NetworkInput, find_backbone, record


def stage_outputs(model: torch.nn.Module, given: NetworkInput) -> list[Tensor]:
    """The normalised output of each stage, shape (C, h, w)."""
    backbone = find_backbone(model)
    return [out[0] for out in record(list(backbone.stages), lambda: backbone(given.tensor))]


def most_varied_channels(output: Tensor, count: int) -> list[int]:
    """The channels that differ most from place to place, the first one most.

    Args:
        output: Shape (C, h, w).
        count: At most so many.
    """
    spread = output.flatten(1).std(1)
    return torch.argsort(spread, descending=True, stable=True)[:count].tolist()


def principal_colours(output: Tensor) -> NDArray[np.float32]:
    """The three main directions of the channels (PCA) as red, green and blue.

    Args:
        output: Shape (C, h, w).

    Returns:
        NDArray[np.float32]: Shape (h, w, 3), each colour scaled to 0 to 1. A direction has no
        sign: the largest entry of each is made positive, so that the colours are reproducible.
    """
    flat = output.flatten(1).T.double()
    flat = flat - flat.mean(0)
    _, _, directions = torch.linalg.svd(flat, full_matrices=False)
    directions = directions[:3]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    values = flat @ (directions * largest.sign()).T
    low, high = values.min(0).values, values.max(0).values
    values = (values - low) / (high - low).clamp_min(1e-12)
    height, width = output.shape[1:]
    colours = torch.zeros(height * width, 3, dtype=torch.double)
    colours[:, : values.shape[1]] = values
    return colours.reshape(height, width, 3).float().numpy()


def plot(model: torch.nn.Module, given: NetworkInput, note: str, channels: int = 4) -> Figure:
    """One row per stage: the image, mean magnitude, main directions, most varied channels."""
    outputs = stage_outputs(model, given)
    title = f"Outputs of the stages: {given.name}"
    figure, axes = new_figure(len(outputs), 3 + channels, title, note, (2.6, 2.3))
    for i, (row, output) in enumerate(zip(axes, outputs, strict=True), start=1):
        depth, height, width = output.shape
        show_image(row[0], given.image, f"stage {i}: {depth} x {height} x {width}")
        show_map(row[1], output.abs().mean(0).numpy(), "mean |x| over channels", "activation")
        show_image(row[2], principal_colours(output), "3 principal directions")
        for place in row[3:]:
            place.set_axis_off()
        chosen = most_varied_channels(output, channels)
        for place, channel in zip(row[3:], chosen, strict=False):
            values = output[channel].numpy()
            show_map(place, values, f"channel {channel}", "activation", colours="coolwarm")
    return figure
