"""Draws single things as pixels: outlines, textures, colours, and the sprites made of them."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mmvan.data.sample.catalog import Kind

__all__ = ["SHAPES", "TEXTURES", "Floats", "Sprite", "draw_clutter", "draw_object", "hsv", "noise"]

Floats = NDArray[np.float32]
Contours = list[NDArray[np.float64]]

# Outlines are rasterised at this multiple of the image's resolution, then averaged.
SUPERSAMPLE = 4
# Standard deviation of an object's hue; the hues of neighbouring kinds are 0.1 apart.
HUE_SCATTER = 0.06
# cv2.fillPoly takes fixed-point coordinates with this many fractional bits.
FRACTION_BITS = 4


@dataclass(frozen=True)
class Sprite:
    """A thing to paste into an image.

    Args:
        colour: RGB in 0..1, shape (n, n, 3).
        alpha: Share of each pixel that the thing covers, in 0..1, shape (n, n).
        left: Column of the image where the sprite's first column goes; may be negative.
        top: Row of the image where the sprite's first row goes; may be negative.
    """

    colour: Floats
    alpha: Floats
    left: int
    top: int


def _circle(radius: float = 1.0, centre: float = 0.0, points: int = 48) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([radius * np.cos(angle) + centre, radius * np.sin(angle)], axis=1)


def _star(inner: float = 0.45, points: int = 5) -> Contours:
    outline = _circle(points=2 * points)
    outline[1::2] *= inner
    return [outline]


def _cross(wide: float = 0.36, far: float = 0.93) -> Contours:
    quarter = np.array([(far, wide), (wide, wide), (wide, far)])
    turn = np.array([(0, 1), (-1, 0)])
    return [np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])]


def _crescent(cut: float = 0.8, centre: float = 0.55) -> Contours:
    disc, bite = _circle(), _circle(cut, centre)
    outer = disc[np.hypot(disc[:, 0] - centre, disc[:, 1]) > cut]
    inner = bite[np.hypot(bite[:, 0], bite[:, 1]) < 1]
    # Both arcs wind around the left side; the inner one is walked backwards to close the outline.
    return [np.concatenate([outer, inner[::-1]])]


# Contours inside the unit circle, to be filled by the even-odd rule.
SHAPES: dict[str, Callable[[], Contours]] = {
    "disc": lambda: [_circle()],
    "square": lambda: [_circle(points=4)],
    "triangle": lambda: [_circle(points=3)],
    "star": _star,
    "ring": lambda: [_circle(), _circle(0.5)],
    "cross": _cross,
    "crescent": _crescent,
}


def noise(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> Floats:
    """Draws smooth noise.

    Args:
        rng: Source of randomness.
        height: Rows.
        width: Columns.
        cell: Height and width, in pixels, over which the noise keeps its value.

    Returns:
        Values in 0..1, shape (height, width).
    """
    grid = rng.random((int(height / cell[0]) + 2, int(width / cell[1]) + 2), dtype=np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)


def _stripes(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    wave = np.sin(2 * np.pi * (u / rng.uniform(0.45, 0.6) + rng.random()))
    return 0.5 + 0.5 * np.tanh(3 * wave)


def _checker(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    period = rng.uniform(0.7, 0.9)
    wave = np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period)
    return 0.5 + 0.5 * np.tanh(6 * wave)


def _dots(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    period = rng.uniform(0.42, 0.54)
    wave = np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period)
    return 0.5 + 0.5 * np.tanh(3 * (wave - 0.8))


def _speckle(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    cell = max(1.0, 0.07 * u.shape[0])
    return np.clip(2.2 * noise(rng, u.shape[0], u.shape[1], (cell, cell)) - 0.6, 0, 1)


def _gradient(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    return np.clip(0.5 + 0.55 * u, 0, 1)


# Share of an object's second colour, from the object's own coordinates u and v in -1..1.
TEXTURES: dict[str, Callable[[np.random.Generator, Floats, Floats], Floats]] = {
    "stripes": _stripes,
    "checker": _checker,
    "dots": _dots,
    "speckle": _speckle,
    "gradient": _gradient,
}


def hsv(hue: float, saturation: float, value: float) -> Floats:
    """Converts one colour to RGB.

    Args:
        hue: In turns; any number, taken modulo 1.
        saturation: In 0..1.
        value: In 0..1.

    Returns:
        RGB in 0..1, shape (3,).
    """
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32)


def _fill(contours: Contours, side: int) -> Floats:
    scale = SUPERSAMPLE * 2**FRACTION_BITS
    points = [np.rint(contour * scale).astype(np.int32) for contour in contours]
    mask = np.zeros((side * SUPERSAMPLE, side * SUPERSAMPLE), np.uint8)
    cv2.fillPoly(mask, points, 255, shift=FRACTION_BITS)
    return cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _place(
    contours: Contours, centre: tuple[float, float], axes: NDArray[np.float64]
) -> tuple[Floats, Floats, Floats, int, int]:
    """Rasterises contours given in an object's own axes.

    Args:
        contours: Outlines in units of `axes`.
        centre: Column and row of the object's centre in the image.
        axes: The object's two axes in pixels as rows, perpendicular, shape (2, 2).

    Returns:
        Alpha and the object's coordinates u and v, each of shape (n, n), then the first column
        and the first row.
    """
    reach = int(np.ceil(np.linalg.norm(axes, axis=1).max())) + 2
    left, top = int(centre[0]) - reach, int(centre[1]) - reach
    offset = np.array([centre[0] - left, centre[1] - top])
    side = 2 * reach + 1
    alpha = _fill([contour @ axes + offset for contour in contours], side)
    pixel = np.arange(side) + 0.5
    x, y = (pixel - offset[0])[None, :], (pixel - offset[1])[:, None]
    u, v = ((x * axis[0] + y * axis[1]) / (axis @ axis) for axis in axes)
    return alpha, u.astype(np.float32), v.astype(np.float32), left, top


def _axes(rng: np.random.Generator, radius: float, squeeze: float) -> NDArray[np.float64]:
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return radius * np.diag([1.0, rng.uniform(squeeze, 1)]) @ rotation


def draw_object(
    rng: np.random.Generator, kind: Kind, centre: tuple[float, float], radius: float
) -> Sprite:
    """Draws an object of a kind, turned, squeezed, coloured and lit at random.

    Args:
        rng: Source of randomness.
        kind: What to draw.
        centre: Column and row of its centre in the image.
        radius: Radius in pixels of the circle around it.
    """
    axes = _axes(rng, radius, squeeze=0.8)
    alpha, u, v, left, top = _place(SHAPES[kind.shape](), centre, axes)
    hue = kind.hue + rng.normal(0, HUE_SCATTER)
    light = hsv(hue, rng.uniform(0.35, 0.8), rng.uniform(0.8, 1.0))
    dark = hsv(hue + rng.normal(0, 0.06), rng.uniform(0.5, 1.0), rng.uniform(0.15, 0.4))
    share = TEXTURES[kind.texture](rng, u, v)[..., None]
    glow = 1 + rng.uniform(-0.2, 0.2) * u + rng.uniform(-0.2, 0.2) * v
    colour = np.clip((light * (1 - share) + dark * share) * glow[..., None], 0, 1)
    return Sprite(colour.astype(np.float32), alpha, left, top)


def draw_clutter(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> Sprite:
    """Draws a plain bar or blob of any colour: something that belongs to no class.

    Args:
        rng: Source of randomness.
        centre: Column and row of its centre in the image.
        radius: Half of its length in pixels.
    """
    axes = _axes(rng, radius, squeeze=0.2)
    corners = _circle(points=int(rng.integers(5, 9))) * rng.uniform(0.6, 1.0)
    alpha, u, _, left, top = _place([corners], centre, axes)
    shade = (1 + rng.uniform(-0.1, 0.1) * u)[..., None]
    colour = np.clip(hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.2, 0.9)) * shade, 0, 1)
    return Sprite(colour.astype(np.float32), alpha, left, top)
