"""Steps that look at a sample before and after it is loaded.

The tolerant dataset puts them into pipelines. What a decoder or a library refuses by itself is not
looked at again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray
from PIL import Image

from mmvan.data.faults import (
    MAX_PIXELS,
    PATHS,
    BadSampleError,
    Fault,
    file_fault,
    too_large,
)
from mmvan.data.masks import is_polygons, is_rle
from mmvan.data.orientation import turned_unseen
from mmvan.data.structure import plain_fault, plain_size, structure_fault

__all__ = ["STEPS", "InspectFiles", "InspectInstances", "InspectMap"]

_LABEL_MODES = ("1", "L", "P")
_WIDE_LABEL_MODES = ("I", "I;16", "I;16B")
_MAX_LABEL = 255  # mmseg's label maps are uint8


class InspectFiles(BaseTransform):
    """Refuses files that a decoder would read wrongly, or not get through.

    An image beyond the limit of pixels; a file whose own lengths, markers or checksums are wrong
    (:mod:`mmvan.data.structure`); a compressed TIFF with wrong bytes, which OpenCV reads as
    something; a WebP that EXIF turns, which OpenCV does not; a label map of colours, or of numbers
    that do not fit into 8 bits. Nothing is decoded, but compressed TIFF files.

    Args:
        images: Whether to look at images, too: ``mmvan.LoadImage`` does it by itself.
        max_pixels: The limit of pixels of an image.
        current: Filled with what is known of the sample that is being loaded.
    """

    def __init__(
        self, images: bool, max_pixels: int = MAX_PIXELS, current: dict[str, Any] | None = None
    ) -> None:
        self.images = images or max_pixels < MAX_PIXELS
        self.current = {} if current is None else current
        self.max_pixels = max_pixels
        self._buffer = bytearray()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Returns the results unchanged.

        Raises:
            BadSampleError: A file must not be decoded.
            OSError: A file cannot be read.
        """
        self.current.clear()
        self.current.update(results)
        for key in PATHS if self.images else PATHS[1:]:
            path = results.get(key)
            if path and "://" not in path:
                self._look(str(path), is_map=key != "img_path", panoptic="segments_info" in results)
        return results

    def _look(self, path: str, *, is_map: bool, panoptic: bool) -> None:
        with Path(path).open("rb", buffering=0) as file:
            content = self._read(file)
            size = plain_size(content, one_channel=is_map)
            if size and size[0] * size[1] <= self.max_pixels:
                fault = _told(path, plain_fault(content))
            else:
                file.seek(0)
                with Image.open(file) as header:
                    fault = self._header_fault(path, header)
                    if is_map and not panoptic:
                        fault = fault or _map_fault(path, header)
                    fault = fault or self._content_fault(path, header, content)
        if fault:
            raise BadSampleError(fault)

    def _read(self, file: FileIO) -> memoryview:
        """The whole file, until the next is read: new memory for each would take longer."""
        size = file.seek(0, 2)
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        file.seek(0)
        return memoryview(self._buffer)[: file.readinto(self._buffer)]

    def _content_fault(self, path: str, header: Image.Image, content: memoryview) -> Fault | None:
        fault = _told(path, structure_fault(header, content))
        compressed = header.format == "TIFF" and header.info.get("compression") != "raw"
        return fault or (file_fault(path, self.max_pixels) if compressed else None)

    def _header_fault(self, path: str, header: Image.Image) -> Fault | None:
        if header.width * header.height > self.max_pixels:
            return too_large(path, header.size, self.max_pixels)
        unseen = turned_unseen(header)
        return Fault("orientation", path, unseen) if unseen else None


class InspectInstances(BaseTransform):
    """Refuses labels and objects that cannot be the image's, after it and before they are loaded.

    It must come before: pycocotools ends the process with a segmentation fault, or asks for all of
    the memory, on coordinates that are no numbers or far away.

    Annotations stay what they are while a dataset is in memory: objects that were found good in an
    image of the size that they tell are not gone through again in later epochs.

    Args:
        classes: How many there are; None if that is not known.
        masks: Whether masks are loaded, so that each object must have one.
    """

    def __init__(self, classes: int | None, masks: bool = False) -> None:
        self.classes = classes
        self.masks = masks
        self._good = bytearray()  # by the sample's index in its dataset

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Returns the results unchanged.

        Raises:
            BadSampleError: An object, or the size that the annotations say, cannot be right.
        """
        fault = next(self._faults(results), None)
        if fault:
            raise BadSampleError(Fault(fault[0], str(results.get("img_path")), fault[1]))
        self._remember(results)
        return results

    def _remember(self, results: Mapping[str, Any]) -> None:
        index = results.get("sample_idx")
        if index is not None and None not in (results.get("height"), results.get("width")):
            self._good.extend(bytes(max(0, index + 1 - len(self._good))))
            self._good[index] = True

    def _faults(self, results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields kinds and reasons, what explains the others first."""
        height, width = results["ori_shape"][:2]
        told = results.get("height"), results.get("width")
        if None not in told and told != (height, width):
            kind = "orientation" if told == (width, height) else "size"
            reason = f"the annotations say {told[1]} x {told[0]}, the image is {width} x {height}"
            yield kind, reason
        index = results.get("sample_idx")
        if index is not None and index < len(self._good) and self._good[index]:
            return
        masks = self.masks and "segments_info" not in results  # panoptic ones come from a PNG
        for number, instance in enumerate(results.get("instances") or ()):
            for kind, reason in _instance_faults(instance, (height, width), self.classes, masks):
                yield kind, f"instances[{number}]: {reason}"
        label = results.get("gt_label")
        if label is not None and not _are_labels(label, self.classes):
            yield "label", f"gt_label {label!r} with {self.classes} classes"


class InspectMap(BaseTransform):
    """Refuses a label map that does not belong to the image, right after it was loaded.

    Args:
        classes: How many there are; None if that is not known.
        ignore: The value of label maps that stands for no class.
    """

    def __init__(self, classes: int | None, ignore: int = 255) -> None:
        self.classes = classes
        self.ignore = ignore

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Returns the results unchanged.

        Raises:
            BadSampleError: The label map cannot be right.
        """
        labels = results.get("gt_seg_map")
        if labels is not None:
            fault = next(self._map_faults(labels, tuple(results["ori_shape"][:2])), None)
            if fault:
                raise BadSampleError(Fault(fault[0], str(results.get("seg_map_path")), fault[1]))
        return results

    def _map_faults(
        self, labels: NDArray[np.uint8], size: tuple[int, int]
    ) -> Iterator[tuple[str, str]]:
        if labels.ndim != 2:
            yield "label map", f"an array of {labels.ndim} axes; expected one channel"
        elif labels.shape != size:
            found = f"{labels.shape[1]} x {labels.shape[0]}"
            yield "size", f"the label map is {found}, the image {size[1]} x {size[0]}"
        elif self.classes is not None and not self._are_few(labels):
            wrong = labels[(labels >= self.classes) & (labels != self.ignore)]
            if wrong.size:
                values = ", ".join(map(str, np.unique(wrong)[:5]))
                expected = f"expected 0 to {self.classes - 1}, or {self.ignore}"
                yield "label map", f"values {values} in {wrong.size} pixels; {expected}"

    def _are_few(self, labels: NDArray[np.uint8]) -> bool:
        """Whether all are classes or ignored, in one pass over most label maps."""
        # 255 becomes 0.
        return self.ignore == _MAX_LABEL and (labels + np.uint8(1)).max(initial=0) <= self.classes


def _told(path: str, found: tuple[str, str] | None) -> Fault | None:
    return Fault(found[0], path, found[1]) if found else None


def _map_fault(path: str, header: Image.Image) -> Fault | None:
    """Of label maps alone; libraries cut wider numbers down to 8 bits without a word."""
    if header.mode in _LABEL_MODES:
        return None
    if header.mode not in _WIDE_LABEL_MODES:
        reason = f"of mode {header.mode}; expected one channel of class indices"
        return Fault("label map", path, reason)
    largest = int(np.asarray(header).max(initial=0))
    if largest <= _MAX_LABEL:
        return None
    return Fault("label map", path, f"16 bits with values up to {largest}; expected 0 to 255")


def _instance_faults(
    instance: Mapping[str, Any], size: tuple[int, int], classes: int | None, masks: bool
) -> Iterator[tuple[str, str]]:
    box = instance.get("bbox")
    if box is not None and not _is_box_in(box, *size):
        yield "box", f"bbox {box} (x1, y1, x2, y2) has no part in {size[1]} x {size[0]} pixels"
    label = instance.get("bbox_label")
    if label is not None and not _are_labels(label, classes):
        yield "label", f"bbox_label {label!r} with {classes} classes"
    mask = instance.get("mask")
    if mask is None and masks:
        yield "mask", "no segmentation, which the pipeline loads"
    elif isinstance(mask, Mapping) and not is_rle(mask, size):
        yield "mask", f"no run lengths of {size[0]} x {size[1]} pixels (height, width)"
    elif mask and not isinstance(mask, Mapping) and not is_polygons(mask, size):
        yield "mask", "a polygon that is not three or more pairs of numbers in or near the image"


def _are_labels(labels: Any, classes: int | None) -> bool:
    """Whether a label, or each of several, is the index of a class."""
    if type(labels) is int:
        return labels >= 0 and (classes is None or labels < classes)
    try:
        values = np.asarray(labels)
    except ValueError:  # lists of several lengths
        return False
    if not values.size:  # an image of no class, where it may have several
        return True
    most = values.max() + 1 if classes is None else classes
    return values.dtype.kind in "iu" and values.min() >= 0 and bool(values.max() < most)


def _is_box_in(box: Any, height: int, width: int) -> bool:
    """Whether some of a box lies in the image; what sticks out, the libraries clip."""
    try:
        left, top, right, bottom = map(float, box)
    except (TypeError, ValueError, OverflowError):  # not four, or no numbers
        return False
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return False
    return min(right, width) > max(left, 0) and min(bottom, height) > max(top, 0)


STEPS = (InspectFiles, InspectInstances, InspectMap)
