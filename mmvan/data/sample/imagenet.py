"""Writes sample portraits as an ImageNet tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmvan.data.sample.catalog import CLASS_FOLDERS
from mmvan.data.sample.images import generator, write_jpeg
from mmvan.data.sample.scenes import draw_portrait

__all__ = ["write_imagenet"]

SIDES = (112, 161)


def write_imagenet(root: Path, seed: int, split: str, count: int) -> Iterator[Path]:
    """Writes one split as ``<split>/<class folder>/<class folder>_<number>.JPEG``.

    Args:
        root: The dataset's directory.
        seed: Seed of the images.
        split: ``train`` or ``val``.
        count: Number of images of each class.

    Yields:
        The path of each image once it is written.
    """
    for kind, folder in enumerate(CLASS_FOLDERS):
        for number in range(count):
            rng = generator(seed, "imagenet", split, kind, number)
            height, width = (int(side) for side in rng.integers(*SIDES, size=2))
            image = draw_portrait(rng, kind, height, width)
            yield write_jpeg(root / split / folder / f"{folder}_{number}.JPEG", image)
