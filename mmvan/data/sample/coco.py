"""Writes sample scenes as a COCO dataset with instances and panoptic segments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_api

from mmvan.data.panoptic import encode_ids
from mmvan.data.sample.catalog import CATEGORY_IDS, SAMPLE_CATEGORIES
from mmvan.data.sample.images import generator, scene_size, write_jpeg
from mmvan.data.sample.panoptic import panoptic_categories, panoptic_segments
from mmvan.data.sample.scenes import Scene, draw_scene

__all__ = ["annotate", "write_coco"]

CROWD_SHARE = 0.15
# Fewer visible pixels than this are left out, as a person would not mark them.
MIN_AREA = 24
# Outlines are traced on a mask enlarged by this factor, then simplified by this many pixels.
TRACE_SCALE = 4
TRACE_TOLERANCE = 0.35
# Image ids of the splits start here, so that no id means two images.
FIRST_IMAGE_ID = {"train": 1, "val": 500001}
Mask = NDArray[np.bool_]


def _outline(mask: Mask) -> list[float] | None:
    """Traces a mask's border.

    Args:
        mask: Shape (height, width).

    Returns:
        The polygon x0, y0, x1, y1, ... in pixels; None where one polygon cannot say it: the mask
        has several parts or a hole.
    """
    large = cv2.resize(
        mask.astype(np.uint8), None, fx=TRACE_SCALE, fy=TRACE_SCALE, interpolation=cv2.INTER_NEAREST
    )
    contours, _ = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if len(contours) != 1:
        return None
    corners = cv2.approxPolyDP(contours[0], TRACE_TOLERANCE * TRACE_SCALE, closed=True)
    # The contour runs through the centres of border pixels, half an enlarged pixel inside.
    points = (corners.reshape(-1, 2) + 0.5) / TRACE_SCALE
    return [round(float(value), 2) for value in points.ravel()] if len(points) >= 3 else None


def _compressed(mask: Mask) -> dict[str, Any]:
    rle = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


def _uncompressed(mask: Mask) -> dict[str, Any]:
    """Encodes run lengths as a list, column by column, zeros first, as COCO does for crowds."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    counts = [0, *runs.tolist()] if flat[0] else runs.tolist()
    return {"size": list(mask.shape), "counts": counts}


def _segmentation(mask: Mask, crowd: bool) -> list[list[float]] | dict[str, Any]:
    if crowd:
        return _uncompressed(mask)
    outline = _outline(mask)
    return _compressed(mask) if outline is None else [outline]


def _decoded(segmentation: list[list[float]] | dict[str, Any], mask: Mask) -> dict[str, Any]:
    """Returns the compressed RLE of what a reader of the annotation will see."""
    if isinstance(segmentation, list):
        return mask_api.merge(mask_api.frPyObjects(segmentation, *mask.shape))
    return mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))


def annotate(scene: Scene) -> list[dict[str, Any]]:
    """Describes the visible part of every object as COCO does.

    Args:
        scene: A finished one.

    Returns:
        Annotations without ``id`` and ``image_id``: polygons, compressed RLE for objects that one
        polygon cannot outline, uncompressed RLE for crowds. ``area`` and ``bbox`` are those of the
        mask that the segmentation decodes to.
    """
    annotations = []
    for index, thing in enumerate(scene.things):
        mask = scene.visible(index)
        if thing.kind < 0 or np.count_nonzero(mask) < MIN_AREA:
            continue
        segmentation = _segmentation(mask, thing.crowd)
        rle = _decoded(segmentation, mask)
        annotations.append(
            {
                "category_id": CATEGORY_IDS[thing.kind],
                "segmentation": segmentation,
                "area": float(mask_api.area(rle)),
                "bbox": mask_api.toBbox(rle).tolist(),
                "iscrowd": int(thing.crowd),
            }
        )
    return annotations


def _categories() -> list[dict[str, Any]]:
    return [
        {"id": number, "name": name, "supercategory": "shape"}
        for number, name in zip(CATEGORY_IDS, SAMPLE_CATEGORIES, strict=True)
    ]


def _write_annotations(
    path: Path,
    categories: list[dict[str, Any]],
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
) -> None:
    licence = {
        "id": 1,
        "name": "Apache License 2.0",
        "url": "https://www.apache.org/licenses/LICENSE-2.0",
    }
    content = {
        "info": {"description": "mmvan sample data, drawn by a program", "version": "1"},
        "licenses": [licence],
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_panoptic(folder: Path, image_id: int, scene: Scene) -> dict[str, Any]:
    """Writes the PNG of a scene.

    Returns:
        Its entry of the annotation file.
    """
    ids, segments = panoptic_segments(scene, MIN_AREA)
    name = f"{image_id:012d}.png"
    Image.fromarray(encode_ids(ids)).save(folder / name)
    return {"image_id": image_id, "file_name": name, "segments_info": segments}


def write_coco(root: Path, seed: int, split: str, count: int) -> Iterator[Path]:
    """Writes one split as ``<split>2017/*.jpg`` with files in ``annotations``.

    These are ``instances_<split>2017.json``, ``panoptic_<split>2017.json`` and
    ``panoptic_<split>2017/*.png``.

    Args:
        root: The dataset's directory.
        seed: Seed of the images.
        split: ``train`` or ``val``.
        count: Number of images.

    Yields:
        The path of each image once it is written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    folder = root / "annotations"
    pngs = folder / f"panoptic_{split}2017"
    pngs.mkdir(parents=True)
    first = FIRST_IMAGE_ID[split]
    for image_id in range(first, first + count):
        rng = generator(seed, "coco", split, image_id)
        height, width = scene_size(rng)
        image, scene = draw_scene(rng, height, width, CROWD_SHARE)
        name = f"{image_id:012d}.jpg"
        images.append(
            {"id": image_id, "file_name": name, "height": height, "width": width, "license": 1}
        )
        for annotation in annotate(scene):
            numbered = {"id": first + len(annotations), "image_id": image_id}
            annotations.append(numbered | annotation)
        panoptic.append(_write_panoptic(pngs, image_id, scene))
        yield write_jpeg(root / f"{split}2017" / name, image)
    _write_annotations(folder / f"instances_{split}2017.json", _categories(), images, annotations)
    _write_annotations(
        folder / f"panoptic_{split}2017.json", panoptic_categories(), images, panoptic
    )
