"""Generated images with the detail of photographs, and annotations in the forms of the tasks."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mmvan.data.panoptic import encode_ids
from mmvan.data.sample.images import generator, write_jpeg

# Amplitudes of natural images fall with the spatial frequency f as f^-1 (Field 1987, "Relations
# between the statistics of natural images and the response properties of cortical cells").
_FALL = 1.0
_MEAN, _DEVIATION = 115, 55  # Grey levels.
_CHROMA = 0.35  # Of the deviation of the luma: the colours of photographs vary less.
_OBJECTS = 7  # Of an image of COCO, on average (arXiv 1405.0312, section 5).
_SEGMENTS = 12  # Things among them; as many as counted in 40 images of COCO.
_CORNERS = 24  # Of an object's polygon.
_ADE_CLASSES = 150


def write_images(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Write JPEG files, the same ones whenever it is called."""
    return [
        write_jpeg(folder / f"{index}.jpg", _photograph(generator(0, index), width, height))
        for index in range(count)
    ]


def annotate(task: str, path: Path, folder: Path) -> dict[str, Any]:
    """What a dataset of the task tells its pipeline about an image.

    Args:
        task: ``classification``, ``detection``, ``panoptic`` or ``segmentation``.
        path: The image.
        folder: Where label maps are written to.
    """
    with Image.open(path) as stored:
        size = stored.size
    rng = generator(0, path.stem)
    known: dict[str, Any] = {"img_path": str(path)}
    if task == "classification":
        return known | {"gt_label": 0}
    if task == "segmentation":
        labels = _regions(rng, _ADE_CLASSES, size).astype(np.uint8)
        maps = _write_png(folder / f"{path.stem}_labels.png", labels)
        return known | {"seg_map_path": maps, "reduce_zero_label": True, "seg_fields": []}
    known |= {"img_id": 0, "width": size[0], "height": size[1], "instances": _instances(rng, size)}
    if task == "panoptic":
        known |= _segments(rng, size, folder / f"{path.stem}_segments.png")
    return known


def _photograph(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    luma = _natural(rng, width, height)[..., None]
    chroma = np.stack([_natural(rng, width, height) for _ in range(3)], -1)
    levels = _MEAN + _DEVIATION * (luma + _CHROMA * (chroma - chroma.mean(-1, keepdims=True)))
    return levels.clip(0, 255).astype(np.uint8)


def _natural(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Noise of the spectrum of natural images, with mean 0 and deviation 1."""
    white = torch.from_numpy(rng.standard_normal((height, width), np.float32))
    frequencies = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    frequencies[0, 0] = torch.inf
    noise = torch.fft.irfft2(torch.fft.rfft2(white) / frequencies**_FALL, s=(height, width))
    return (noise / noise.std()).numpy()


def _instances(rng: np.random.Generator, size: tuple[int, int]) -> list[dict[str, Any]]:
    return [_instance(rng, np.asarray(size)) for _ in range(_OBJECTS)]


def _instance(rng: np.random.Generator, size: NDArray[Any]) -> dict[str, Any]:
    radii = rng.uniform(0.05, 0.25, 2) * size
    centre = rng.uniform(radii, size - radii)
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    outline = centre + radii * np.stack([np.cos(angles), np.sin(angles)], -1)
    return {
        "bbox": [*(centre - radii), *(centre + radii)],
        "bbox_label": 0,
        "ignore_flag": 0,
        "mask": [outline.ravel().tolist()],
    }


def _segments(rng: np.random.Generator, size: tuple[int, int], path: Path) -> dict[str, Any]:
    maps = _write_png(path, encode_ids(_regions(rng, _SEGMENTS, size))[..., ::-1])
    segments = [
        {"id": number, "category": 0, "is_thing": number < _OBJECTS} for number in range(_SEGMENTS)
    ]
    return {"seg_map_path": maps, "segments_info": segments}


def _regions(rng: np.random.Generator, kinds: int, size: tuple[int, int]) -> NDArray[np.int32]:
    """A map (height, width) of connected regions of about a tenth of a side."""
    coarse = rng.integers(0, kinds, (10, 10)).astype(np.float32)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST).astype(np.int32)


def _write_png(path: Path, image: NDArray[Any]) -> str:
    cv2.imwrite(str(path), image)
    return str(path)
