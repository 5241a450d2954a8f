"""Looks into images and label maps, all of them, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from rich.progress import track

from mmvan.data.check.panoptic import Segmented, segment_fault
from mmvan.data.faults import no_range
from mmvan.data.orientation import turned_unseen, upright_size

__all__ = ["IGNORE", "Annotated", "LabelMap", "SegmentMap", "find_faults"]

# The label that mmseg's losses and metrics leave out.
IGNORE = 255
_CHUNK = 32
_TURNED = ", its size before EXIF turns it: annotate what is seen"
_MAX_VALUES = 10
Task = TypeVar("Task", "Path", "LabelMap", "Annotated", "SegmentMap")


@dataclass(frozen=True)
class LabelMap:
    """A label map with the image that it belongs to.

    Args:
        path: The label map.
        image: Its image.
        labels: Labels are below this number, or ``IGNORE``.
    """

    path: Path
    image: Path
    labels: int


@dataclass(frozen=True)
class Annotated:
    """An image with objects.

    Args:
        path: The image.
        size: Its width and height by the annotations.
        boxes: Of its objects: x, y, width and height in pixels.
    """

    path: Path
    size: tuple[Any, Any]
    boxes: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class SegmentMap:
    """A panoptic map.

    Args:
        folder: Where it is.
        image: What it must show.
    """

    folder: Path
    segmented: Segmented

    @property
    def path(self) -> Path:
        """The PNG."""
        return self.folder / self.segmented.png


def find_faults(tasks: Sequence[Task], workers: int, folder: Path) -> list[str]:
    """Decodes files and compares them with what belongs to them.

    Args:
        tasks: Images, with annotations or without, label maps or panoptic maps.
        workers: Number of processes; 0 works in this one.
        folder: Where they are.

    Returns:
        A line for each faulty file: its path in the folder, and what is wrong with it.
    """
    if not workers:
        return _faults(track(map(_fault, tasks), str(folder), len(tasks)), tasks, folder)
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(_fault, tasks, chunksize=_CHUNK)
        return _faults(track(results, str(folder), len(tasks)), tasks, folder)


def _faults(results: Iterable[str], tasks: Sequence[Task], folder: Path) -> list[str]:
    paths = (task if isinstance(task, Path) else task.path for task in tasks)
    return [
        f"{path.relative_to(folder).as_posix()}: {fault}"
        for path, fault in zip(paths, results, strict=True)
        if fault
    ]


def _fault(task: Path | LabelMap | Annotated | SegmentMap) -> str:
    """Says what is wrong with a file; an empty string if nothing is."""
    try:
        if isinstance(task, LabelMap):
            return _label_map_fault(task)
        if isinstance(task, Annotated):
            return _image_fault(task.path) or _annotated_fault(task)
        if isinstance(task, SegmentMap):
            return segment_fault(str(task.folder), task.segmented)
        return _image_fault(task)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"cannot be decoded: {error}"


def _image_fault(path: Path) -> str:
    with Image.open(path) as image:
        image.load()
        fault = no_range(str(path), image.mode)
    return fault.reason if fault else ""


def _annotated_fault(task: Annotated) -> str:
    with Image.open(task.path) as image:
        size, stored = upright_size(image), image.size
        if unseen := turned_unseen(image):
            return unseen
    if task.size != size:
        why = _TURNED if task.size == stored else ""
        return f"of size {_by(size)}, but {_by(task.size)} in the annotations{why}"
    width, height = size
    outside = [
        box
        for box in task.boxes
        if not (box[0] < width and box[1] < height and _ends(box) > (0, 0))
    ]
    if outside:
        return f"{len(outside)} boxes outside its {_by(size)} pixels, such as {list(outside[0])}"
    return ""


def _ends(box: tuple[Any, ...]) -> tuple[Any, Any]:
    return min(box[0] + box[2], 1), min(box[1] + box[3], 1)


def _label_map_fault(task: LabelMap) -> str:
    with Image.open(task.path) as image:
        if image.mode not in ("L", "P", "I", "I;16"):
            return f"of mode {image.mode}; expected one channel of class indices"
        labels, size = np.asarray(image), image.size
    with Image.open(task.image) as image:
        if unseen := turned_unseen(image):
            return f"{task.image.name}: {unseen}"
        upright = upright_size(image)
        if upright != size:
            why = f"{_TURNED}; --maps-as-stored turns such maps" if image.size == size else ""
            return f"of size {_by(size)}, but {task.image.name} of size {_by(upright)}{why}"
    wrong = [value for value in np.unique(labels) if value >= task.labels and value != IGNORE]
    if wrong:
        return f"values {_values(wrong)}; expected 0 to {task.labels - 1}, or {IGNORE} to ignore"
    return ""


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _values(values: Iterable[int]) -> str:
    ordered = sorted(values)
    more = f" and {len(ordered) - _MAX_VALUES} more" if len(ordered) > _MAX_VALUES else ""
    return ", ".join(str(value) for value in ordered[:_MAX_VALUES]) + more
