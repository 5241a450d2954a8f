"""What the writers of all formats share: seeded generators, image sizes, JPEG files."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["generator", "scene_size", "write_jpeg"]

SCENE_HEIGHTS = (160, 193)
SCENE_WIDTHS = (192, 225)
JPEG_QUALITY = 90


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """Returns the source of randomness of one image.

    Args:
        seed: Seed of the dataset.
        key: What names the image; other images do not influence it.
    """
    words = [part if isinstance(part, int) else crc32(part.encode()) for part in key]
    return np.random.default_rng([seed, *words])


def scene_size(rng: np.random.Generator) -> tuple[int, int]:
    """Draws the height and width of a scene in pixels."""
    return int(rng.integers(*SCENE_HEIGHTS)), int(rng.integers(*SCENE_WIDTHS))


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> Path:
    """Writes an image, making its directory where that is missing.

    Args:
        path: Where to; the suffix does not matter.
        image: RGB, shape (height, width, 3).

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(content.tobytes())
    return path
