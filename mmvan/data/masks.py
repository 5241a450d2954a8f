"""What pycocotools can read of COCO's segmentations; by others it may end the process."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

__all__ = ["is_polygons", "is_rle"]

_MIN_COORDINATES = 6  # three points
_FAR = 10  # times the longer side of an image; pycocotools draws all of a polygon, however long
# pycocotools writes run lengths in groups of 5 bits, from the character "0" on (maskApi.c); its
# reader takes no notice of the end of a text whose last group says that it goes on.
_RLE_TEXT = re.compile("[0-o]*[0-O]|")
_FIRST, _GOES_ON = 48, 80  # the first character, and the first of those that go on


def is_polygons(value: Any, size: Sequence[Any]) -> bool:
    """Whether a segmentation is a list of polygons in or near an image of a height and a width.

    Of two points is none but a later one, which libraries leave out; as the first, pycocotools
    takes it for a box. Far outside, it ends the process or asks for all of the memory.
    """
    if not isinstance(value, list) or not value:
        return False
    far = _FAR * max(size)
    try:
        return len(value[0]) >= _MIN_COORDINATES and all(
            isinstance(part, (list, tuple, np.ndarray))
            and len(part) >= _MIN_COORDINATES - 2
            and not len(part) % 2
            and isfinite(sum(part))
            and -far <= min(part)
            and max(part) <= far
            for part in value
        )
    except (TypeError, OverflowError):  # text, None or lists among the numbers
        return False


def is_rle(value: Any, size: Sequence[Any]) -> bool:
    """Whether a segmentation is the run lengths of a mask of an image's height and width."""
    if not isinstance(value, Mapping) or not isinstance(value.get("size"), (list, tuple)):
        return False
    if list(value["size"]) != list(size):
        return False
    counts, area = value.get("counts"), size[0] * size[1]
    if isinstance(counts, (str, bytes)):
        lengths = _run_lengths(counts if isinstance(counts, str) else counts.decode("latin-1"))
        return lengths is not None and min(lengths, default=0) >= 0 and sum(lengths) == area
    if not isinstance(counts, list) or not all(type(c) is int and c >= 0 for c in counts):
        return False
    return sum(counts) == area


def _run_lengths(text: str) -> list[int] | None:
    """Decodes run lengths as pycocotools does (rleFrString in its maskApi.c); None if it cannot.

    A loop, because for texts of usual length NumPy's calls take longer.
    """
    if not _RLE_TEXT.fullmatch(text):
        return None
    counts: list[int] = []
    value = shift = 0
    for code in text.encode():
        value |= (code - _FIRST & 31) << shift
        shift += 5
        if code < _GOES_ON:
            if code & 16 == 0:  # a negative number; the first character has this bit
                value -= 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    return counts
