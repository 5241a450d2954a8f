"""What can be wrong with one sample of a dataset, found only when it is read."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from mmvan.data.structure import structure_fault
from mmvan.errors import ConfigError, DataError

__all__ = [
    "IMAGE_KINDS",
    "KINDS",
    "MAX_PIXELS",
    "PATHS",
    "BadSampleError",
    "Fault",
    "diagnose",
    "file_fault",
]

# Every kind of fault, with what it means.
KINDS = {
    "missing": "no such file",
    "unreadable": "a folder, or a file that the disk or its permissions refuse",
    "empty": "a file of zero bytes",
    "not an image": "a file of another format, or without a header",
    "truncated": "an image whose end is missing",
    "corrupt": "an image with wrong bytes inside",
    "too large": "an image with more pixels than the limit",
    "depth": "an image of 32-bit numbers, whose range is not known",
    "decoder": "an image that the step that loads it cannot decode, though Pillow can",
    "orientation": "an image that would not be seen upright, or a size from before it was turned",
    "size": "a label map or a size in the annotations that is not the image's",
    "label map": "a label map of colours, or with values that are no class",
    "box": "a box that is no numbers, empty or outside the image",
    "label": "an object of a class that does not exist",
    "mask": "a polygon or run-length encoding that cannot be one",
    "pipeline": "anything else that a step of the pipeline raises",
}
# Of them, what an image can have wrong without its annotations.
IMAGE_KINDS = tuple(list(KINDS)[: list(KINDS).index("orientation")])
# Where Pillow takes an image for a decompression bomb, twice PIL.Image.MAX_IMAGE_PIXELS.
MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)
# The files of a sample by the keys of OpenMMLab's data.
PATHS = ("img_path", "seg_map_path")
_NO_RANGE = ("I", "F")  # Pillow's modes of 32 bits
# Not of one sample: the next would fail alike, and hide what is wrong.
_NEVER_OF_A_SAMPLE = (ConfigError, ImportError, MemoryError)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a sample.

    Args:
        kind: One of ``KINDS``.
        file: The file at fault, or the one that the faulty annotation belongs to.
        reason: In words.
    """

    kind: str
    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} ({self.kind}): {self.reason}"

    def plain(self) -> dict[str, str]:
        """As a dictionary of strings, which checkpoints may hold."""
        return asdict(self)


class BadSampleError(DataError):
    """A sample that must not be learnt from or evaluated on.

    Args:
        fault: What is wrong with it.
        message: The same for people, where there is more to say.
    """

    def __init__(self, fault: Fault, message: str = "") -> None:
        super().__init__(message or str(fault))
        self.fault = fault


def diagnose(error: Exception, info: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> Fault:
    """Finds out why a sample cannot be loaded; called only when it could not.

    Args:
        error: What its pipeline raised.
        info: What the dataset knows of the sample; may be empty.
        max_pixels: The limit of pixels of a file.

    Returns:
        What is wrong.

    Raises:
        Exception: The error itself, if it is of the config or the machine.
    """
    if isinstance(error, _NEVER_OF_A_SAMPLE):
        raise error
    if isinstance(error, BadSampleError):
        return error.fault
    for key in PATHS:
        fault = file_fault(str(info[key]), max_pixels) if info.get(key) else None
        if fault:
            return fault
    path = str(info.get("img_path", "a sample of several images"))
    if "failed to load image" in str(error):  # mmcv's words for what its decoder returns None for
        return Fault("decoder", path, f"{error}; mmvan.LoadImage reads what Pillow does")
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    kind = "mask" if "_mask.pyx" in place.filename else "pipeline"  # pycocotools
    reason = f"{type(error).__name__} at {where}: {error}"
    return Fault(kind, path, reason)


def file_fault(path: str, max_pixels: int = MAX_PIXELS) -> Fault | None:
    """Decodes the whole of an image file, strictly, and says what is wrong with it.

    Args:
        path: An image or a label map; one that is not on a local disk is not looked at.
        max_pixels: The limit of its pixels.
    """
    if "://" in path:
        return None
    try:
        if not Path(path).stat().st_size:
            return Fault("empty", path, "0 bytes")
        content = Path(path).read_bytes()
        with Image.open(BytesIO(content)) as image:
            if image.width * image.height > max_pixels:
                return too_large(path, image.size, max_pixels)
            image.load()
            found = structure_fault(image, content)
            return Fault(found[0], path, found[1]) if found else no_range(path, image.mode)
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise anything for wrong bytes
        return Fault(_kind(error), path, str(error) or type(error).__name__)


def too_large(path: str, size: tuple[int, int], limit: int) -> Fault:
    """The fault of an image of (width, height) with more pixels than a limit."""
    return Fault("too large", path, f"{size[0]} x {size[1]} pixels; the limit is {limit}")


def no_range(path: str, mode: str) -> Fault | None:
    """The fault of an image of a Pillow mode whose values could be anything."""
    if mode not in _NO_RANGE:
        return None
    reason = f"32 bits a pixel (Pillow's mode {mode}); convert it to 8 or 16 bits"
    return Fault("depth", path, reason)


def _kind(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return "too large"
    if isinstance(error, OSError) and error.errno is not None:
        return "unreadable"
    cut = any(word in str(error).lower() for word in ("truncated", "premature", "eof"))
    return "truncated" if cut or isinstance(error, EOFError) else "corrupt"
