"""Composes images: ground, objects and clutter on it, who is seen where, light and noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmvan.data.sample.catalog import GROUNDS, KINDS, NUM_CATEGORIES
from mmvan.data.sample.drawing import Floats, Sprite, draw_clutter, draw_object, hsv, noise

__all__ = ["Scene", "Thing", "draw_ground", "draw_portrait", "draw_scene"]

# An object stays in an image only if at least this share of it is seen.
MIN_SEEN = 0.4
# Pixels of radius in detection and segmentation scenes.
RADIUS_RANGE = (12.0, 55.0)
CROWD_RADIUS = (4.0, 6.0)
MAX_TRIES = 25


@dataclass(frozen=True)
class Thing:
    """Something that was put into an image.

    Args:
        kind: Index into ``KINDS``; -1 for clutter.
        crowd: Whether it is a heap of small objects that nobody told apart.
    """

    kind: int
    crowd: bool = False


@dataclass
class Scene:
    """An image being painted, back to front.

    Args:
        image: RGB in 0..1, shape (height, width, 3).
        ground: Label of the ground under each pixel, shape (height, width).
        things: What was added so far.
        owner: Index into `things`, plus one, of what is seen at each pixel; 0 where the ground is.
        sizes: Pixels of each thing, hidden and outside ones included; 0 for clutter, which may be
            hidden altogether.
    """

    image: Floats
    ground: NDArray[np.uint8]
    things: list[Thing] = field(default_factory=list)
    owner: NDArray[np.int32] = field(init=False)
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.owner = np.zeros(self.ground.shape, np.int32)

    def visible(self, index: int) -> NDArray[np.bool_]:
        """Returns where a thing is seen, shape (height, width)."""
        return self.owner == index + 1

    def add(self, thing: Thing, sprites: list[Sprite]) -> bool:
        """Paints a thing, unless it or an object behind it would be hidden too much.

        Args:
            thing: What it is.
            sprites: Its parts.

        Returns:
            Whether it was painted.
        """
        owner = self.owner.copy()
        size = 0
        for sprite in sprites:
            rows, columns, part = self._window(sprite)
            owner[rows, columns][sprite.alpha[part] >= 0.5] = len(self.things) + 1
            size += int(np.count_nonzero(sprite.alpha >= 0.5)) if thing.kind >= 0 else 0
        sizes = np.array([*self.sizes, size])
        seen = np.bincount(owner.ravel(), minlength=len(sizes) + 1)[1:]
        if np.any(seen < MIN_SEEN * sizes):
            return False
        self.owner = owner
        self.things.append(thing)
        self.sizes.append(size)
        for sprite in sprites:
            self._blend(sprite)
        return True

    def _window(self, sprite: Sprite) -> tuple[slice, slice, tuple[slice, slice]]:
        """Returns the rows and columns that a sprite touches, and that part of the sprite."""
        height, width = self.owner.shape
        side = sprite.alpha.shape[0]
        top, left = np.clip(sprite.top, 0, height), np.clip(sprite.left, 0, width)
        bottom = np.clip(sprite.top + side, 0, height)
        right = np.clip(sprite.left + side, 0, width)
        part = (
            slice(top - sprite.top, bottom - sprite.top),
            slice(left - sprite.left, right - sprite.left),
        )
        return slice(top, bottom), slice(left, right), part

    def _blend(self, sprite: Sprite) -> None:
        rows, columns, part = self._window(sprite)
        alpha = sprite.alpha[part][..., None]
        under = self.image[rows, columns]
        self.image[rows, columns] = under + alpha * (sprite.colour[part] - under)


def _ramp(start: Floats, end: Floats, share: Floats) -> Floats:
    return start + (end - start) * share[..., None]


def _sky(rng: np.random.Generator, height: int, width: int) -> Floats:
    hue = rng.normal(0.57, 0.06)
    top = hsv(hue, rng.uniform(0.3, 0.7), rng.uniform(0.5, 0.9))
    bottom = hsv(hue + rng.normal(0, 0.08), rng.uniform(0.0, 0.3), rng.uniform(0.8, 1.0))
    slope = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    return _ramp(
        top, bottom, np.clip(slope + 0.5 * noise(rng, height, width, (30, 60)) - 0.25, 0, 1)
    )


def _grass(rng: np.random.Generator, height: int, width: int) -> Floats:
    hue = rng.normal(0.28, 0.07)
    dark = hsv(hue, rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.4))
    light = hsv(hue + rng.normal(0, 0.04), rng.uniform(0.3, 0.7), rng.uniform(0.5, 0.8))
    blades = noise(rng, height, width, (6, 1.5))
    return _ramp(dark, light, 0.7 * blades + 0.3 * noise(rng, height, width, (40, 40)))


def _water(rng: np.random.Generator, height: int, width: int) -> Floats:
    hue = rng.normal(0.53, 0.07)
    dark = hsv(hue, rng.uniform(0.4, 0.9), rng.uniform(0.3, 0.6))
    light = hsv(hue + rng.normal(0, 0.05), rng.uniform(0.2, 0.6), rng.uniform(0.6, 0.9))
    row = np.arange(height, dtype=np.float32)[:, None]
    phase = row / rng.uniform(6, 11) + 1.2 * noise(rng, height, width, (25, 40))
    return _ramp(dark, light, 0.5 + 0.4 * np.sin(2 * np.pi * phase))


def _plaster(rng: np.random.Generator, height: int, width: int) -> Floats:
    hue, value = rng.random(), rng.uniform(0.3, 0.9)
    grain = noise(rng, height, width, (3, 3)) + noise(rng, height, width, (24, 24))
    dark, light = (hsv(hue, rng.uniform(0, 0.3), value * factor) for factor in (0.8, 1.1))
    return _ramp(dark, np.minimum(light, 1), grain / 2)


# In the order of their labels: unlabelled first, then GROUNDS.
_PAINTERS = (_plaster, _sky, _grass, _water)


def draw_ground(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Draws one to three bands of ground with wavy borders between them.

    Args:
        rng: Source of randomness.
        height: Rows.
        width: Columns.
    """
    count = int(rng.integers(1, 4))
    labels = rng.choice(len(GROUNDS) + 1, size=count, replace=False)
    borders = np.sort(rng.uniform(0.15, 0.85, count - 1)) * height
    row = np.arange(height)[:, None]
    band = np.zeros((height, width), np.intp)
    for border in borders:
        wave = rng.uniform(2, 10) * np.sin(
            2 * np.pi * (np.arange(width) / rng.uniform(80, 200) + rng.random())
        )
        band += row > border + wave
    layers = np.stack([_PAINTERS[label](rng, height, width) for label in labels])
    image = np.take_along_axis(layers, band[None, ..., None], axis=0)[0]
    return Scene(image, labels.astype(np.uint8)[band])


def _light(rng: np.random.Generator, image: Floats) -> NDArray[np.uint8]:
    """Lights an image unevenly, adds sensor noise and rounds it to bytes."""
    height, width = image.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    light = rng.uniform(0.75, 1.1) * (
        1 + rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y
    )
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.01, 0.04))
    return np.rint(255 * np.clip(image * light + grain, 0, 1)).astype(np.uint8)


def _point(rng: np.random.Generator, scene: Scene, margin: float) -> tuple[float, float]:
    height, width = scene.owner.shape
    return rng.uniform(margin, width - margin), rng.uniform(margin, height - margin)


def _scatter_clutter(rng: np.random.Generator, scene: Scene, most: int, reach: float) -> None:
    for _ in range(int(rng.integers(0, most + 1))):
        radius = rng.uniform(0.3, 1.0) * reach
        sprite = draw_clutter(rng, _point(rng, scene, 0.0), radius)
        scene.add(Thing(-1), [sprite])


def draw_portrait(
    rng: np.random.Generator, kind: int, height: int, width: int
) -> NDArray[np.uint8]:
    """Draws one object, dominant in its image, with clutter behind and in front of it.

    Args:
        rng: Source of randomness.
        kind: Index into ``KINDS``.
        height: Rows.
        width: Columns.

    Returns:
        RGB, shape (height, width, 3).
    """
    scene = draw_ground(rng, height, width)
    shorter = min(height, width)
    _scatter_clutter(rng, scene, most=4, reach=0.2 * shorter)
    radius = rng.uniform(0.3, 0.48) * shorter
    # No more than a tenth of its radius beyond the border.
    centre = _point(rng, scene, 0.9 * radius)
    scene.add(Thing(kind), [draw_object(rng, KINDS[kind], centre, radius)])
    _scatter_clutter(rng, scene, most=2, reach=0.15 * shorter)
    return _light(rng, scene.image)


def _add_object(rng: np.random.Generator, scene: Scene) -> None:
    kind = int(rng.integers(NUM_CATEGORIES))
    for _ in range(MAX_TRIES):
        # Uniform in the logarithm: as many small objects as large ones.
        radius = float(np.exp(rng.uniform(*np.log(RADIUS_RANGE))))
        centre = _point(rng, scene, 0.6 * RADIUS_RANGE[0])
        if scene.add(Thing(kind), [draw_object(rng, KINDS[kind], centre, radius)]):
            return


def _add_crowd(rng: np.random.Generator, scene: Scene) -> None:
    kind = int(rng.integers(NUM_CATEGORIES))
    x, y = _point(rng, scene, 40.0)
    sprites = []
    for _ in range(int(rng.integers(10, 17))):
        centre = (x + rng.normal(0, 12), y + rng.normal(0, 9))
        sprites.append(draw_object(rng, KINDS[kind], centre, rng.uniform(*CROWD_RADIUS)))
    scene.add(Thing(kind, crowd=True), sprites)


def draw_scene(
    rng: np.random.Generator, height: int, width: int, crowd_share: float
) -> tuple[NDArray[np.uint8], Scene]:
    """Draws two to five objects that may hide each other, with clutter and sometimes a crowd.

    Args:
        rng: Source of randomness.
        height: Rows.
        width: Columns.
        crowd_share: Probability that a crowd of small objects is in the image.

    Returns:
        RGB of shape (height, width, 3), and what is where.
    """
    scene = draw_ground(rng, height, width)
    _scatter_clutter(rng, scene, most=3, reach=30)
    if rng.random() < crowd_share:
        _add_crowd(rng, scene)
    for _ in range(int(rng.integers(2, 6))):
        _add_object(rng, scene)
    _scatter_clutter(rng, scene, most=2, reach=22)
    return _light(rng, scene.image), scene
