"""Writes sample scenes as an ADE20K semantic segmentation dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmvan.data.sample.catalog import GROUNDS, UNLABELLED
from mmvan.data.sample.images import generator, scene_size, write_jpeg
from mmvan.data.sample.scenes import Scene, draw_scene

__all__ = ["label", "write_ade20k"]

SPLIT_FOLDERS = {"train": "training", "val": "validation"}


def label(scene: Scene) -> NDArray[np.uint8]:
    """Labels every pixel of a scene.

    Args:
        scene: A finished one without crowds.

    Returns:
        0 on clutter, on ground of no class and on the rims of things, as ADE20K marks what it left
        out; ``SAMPLE_SEGMENTS`` from 1 elsewhere. Shape (height, width).
    """
    segments = [
        UNLABELLED if thing.kind < 0 else len(GROUNDS) + 1 + thing.kind for thing in scene.things
    ]
    # Owner 0 is the ground, which the map overrides where something stands on it.
    of_owner = np.array([UNLABELLED, *segments], np.uint8)
    labels = np.where(scene.owner > 0, of_owner[scene.owner], scene.ground)
    rows, columns = np.diff(scene.owner, axis=0) != 0, np.diff(scene.owner, axis=1) != 0
    labels[1:][rows] = UNLABELLED
    labels[:, 1:][columns] = UNLABELLED
    return labels


def write_ade20k(root: Path, seed: int, split: str, count: int) -> Iterator[Path]:
    """Writes one split as ``images/<folder>/*.jpg`` and ``annotations/<folder>/*.png``.

    Args:
        root: The dataset's directory.
        seed: Seed of the images.
        split: ``train`` or ``val``, in folders ``training`` and ``validation``.
        count: Number of images.

    Yields:
        The path of each image once it and its annotation are written.
    """
    folder = SPLIT_FOLDERS[split]
    annotations = root / "annotations" / folder
    annotations.mkdir(parents=True)
    for number in range(1, count + 1):
        rng = generator(seed, "ade20k", split, number)
        image, scene = draw_scene(rng, *scene_size(rng), crowd_share=0.0)
        name = f"ADE_{split}_{number:08d}"
        Image.fromarray(label(scene)).save(annotations / f"{name}.png")
        yield write_jpeg(root / "images" / folder / f"{name}.jpg", image)
