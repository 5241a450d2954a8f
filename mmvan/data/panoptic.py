"""COCO's panoptic images: PNG files whose colours are numbers of segments."""

import functools
from typing import Any

import cv2
import numpy as np
from mmengine.fileio import get
from numpy.typing import NDArray

from mmvan.errors import DataError

__all__ = ["NO_SEGMENT", "decode_ids", "encode_ids", "read_ids"]

# The number of pixels that belong to no segment.
NO_SEGMENT = 0
# A number is R + 256 G + 256^2 B (cocodataset.org, format-data, "Panoptic Segmentation").
_SHIFTS = (0, 8, 16)


def decode_ids(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Returns the segment of each pixel.

    Args:
        colours: RGB, shape (height, width, 3).

    Returns:
        Numbers of segments, shape (height, width).
    """
    # Plane by plane: several times faster than a sum over an axis of three.
    planes = (colours[..., i].astype(np.int32) << shift for i, shift in enumerate(_SHIFTS))
    return functools.reduce(np.bitwise_or, planes)


def encode_ids(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Returns the colours that stand for segments.

    Args:
        ids: Numbers of segments from 0 to 2^24 - 1, shape (height, width).

    Returns:
        RGB, shape (height, width, 3).
    """
    return (np.right_shift(ids[..., None], _SHIFTS) & 255).astype(np.uint8)


def read_ids(path: str, backend_args: dict[str, Any] | None = None) -> NDArray[np.int32]:
    """Reads the segment of each pixel from a file.

    Args:
        path: A PNG file.
        backend_args: Where MMEngine finds files that are not on a local disk.

    Returns:
        Numbers of segments, shape (height, width).

    Raises:
        DataError: The file is missing, or no image.
    """
    try:
        content = np.frombuffer(get(path, backend_args), np.uint8)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected a PNG of panoptic segments") from error
    bgr = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if bgr is None:
        raise DataError(f"{path}: no image; expected a PNG of panoptic segments")
    return decode_ids(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
