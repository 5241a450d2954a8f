"""Describes sample scenes as COCO's panoptic format does: every pixel in at most one segment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmvan.data.panoptic import NO_SEGMENT
from mmvan.data.sample.catalog import (
    CATEGORY_IDS,
    GROUND_IDS,
    GROUNDS,
    SAMPLE_CATEGORIES,
    UNLABELLED,
)
from mmvan.data.sample.scenes import Scene

__all__ = ["panoptic_categories", "panoptic_segments"]

# Numbers of segments are multiples of this, so that they need all three bytes of a colour.
NUMBER_STEP = 70001


def panoptic_categories() -> list[dict[str, Any]]:
    """Returns the table of categories: things, then stuff."""
    things = zip(CATEGORY_IDS, SAMPLE_CATEGORIES, strict=True)
    stuff = zip(GROUND_IDS, GROUNDS, strict=True)
    return [
        *({"id": i, "name": name, "supercategory": "shape", "isthing": 1} for i, name in things),
        *({"id": i, "name": name, "supercategory": "ground", "isthing": 0} for i, name in stuff),
    ]


def panoptic_segments(
    image: Scene, min_area: int
) -> tuple[NDArray[np.int32], list[dict[str, Any]]]:
    """Describes a scene.

    Args:
        image: A finished scene.
        min_area: Fewer visible pixels than this are left out.

    Returns:
        The number of the segment at each pixel, 0 on clutter and on ground of no class, shape
        (height, width); and the segments' entries of the annotation file.
    """
    ids = np.full(image.owner.shape, NO_SEGMENT, np.int32)
    segments: list[dict[str, Any]] = []

    def add(mask: NDArray[np.bool_], category: int, crowd: bool) -> None:
        if np.count_nonzero(mask) >= min_area:
            number = NUMBER_STEP * (len(segments) + 1)
            ids[mask] = number
            segments.append(_segment(number, category, mask, crowd))

    for index, thing in enumerate(image.things):
        if thing.kind >= 0:
            add(image.visible(index), CATEGORY_IDS[thing.kind], thing.crowd)
    for label, category in enumerate(GROUND_IDS, UNLABELLED + 1):
        add((image.owner == 0) & (image.ground == label), category, crowd=False)
    return ids, segments


def _segment(number: int, category: int, mask: NDArray[np.bool_], crowd: bool) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "category_id": category,
        "area": int(np.count_nonzero(mask)),
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "iscrowd": int(crowd),
    }
