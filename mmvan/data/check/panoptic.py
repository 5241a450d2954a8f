"""Checks the PNG files of panoptic datasets against their annotation files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmvan.data.check.problems import Problem, listed
from mmvan.data.check.sources import Source, advice, list_files
from mmvan.data.panoptic import read_ids
from mmvan.errors import DataError

__all__ = ["MAX_DECODED", "Segmented", "form_problem", "segment_fault", "segment_problems"]

# mmdet's class that reads COCO's panoptic files.
PANOPTIC_CLASS = "CocoPanopticDataset"
# Decoding takes about 5 ms per file: all of COCO's would delay a start by 10 minutes.
MAX_DECODED = 200


@dataclass(frozen=True)
class Segmented:
    """An image with its segments, by the annotation file.

    Args:
        image: File name of the image.
        size: Its height and width.
        ids: Numbers of its segments.
    """

    image: str
    size: tuple[int, int]
    ids: tuple[int, ...]

    @property
    def png(self) -> str:
        """File name of its segments, as mmdet makes it from that of the image."""
        return self.image.replace(".jpg", ".png")


def form_problem(source: Source, images: Sequence[Segmented] | None) -> Problem | None:
    """Says if a file is of the other kind than its dataset's class reads.

    Args:
        source: A COCO dataset.
        images: The segments in its annotation file; None if that is no panoptic one.
    """
    parents = source.dataset_type.__mro__ if source.dataset_type else ()
    reads_segments = PANOPTIC_CLASS in (parent.__name__ for parent in parents)
    if reads_segments == (images is not None):
        return None
    found = "annotations without segments_info" if reads_segments else "panoptic annotations"
    expected = "a panoptic annotation file" if reads_segments else "boxes, not segments_info"
    fix = f"name the other file, or choose {PANOPTIC_CLASS} for panoptic files and no others"
    return Problem(f"{source.key}.ann_file", source.ann_file, found, expected, fix)


def segment_problems(
    source: Source, images: Sequence[Segmented], max_decoded: int = MAX_DECODED
) -> list[Problem]:
    """Checks that every image has its PNG, and that the PNGs show the segments.

    Args:
        source: A panoptic dataset whose directories exist.
        images: The images and segments that its annotation file names.
        max_decoded: How many PNGs are decoded at most, evenly spaced among the files.
    """
    folder, key = source.prefixes.get("seg"), f"{source.key}.data_prefix.seg"
    if not folder:
        expected = "the folder of the PNG files with the segments"
        return [Problem(key, "not set", "no folder", expected, f"set {key}")]
    present = set(list_files(folder))
    absent = tuple(p.png for p in images if p.png not in present)
    problems = []
    if absent:
        found = f"{len(absent)} of {len(images)} panoptic PNGs missing"
        expected = f"a PNG for every image with annotations in {source.ann_file}"
        problems.append(Problem(key, folder, found, expected, advice(source.root), absent))
    there = [segmented for segmented in images if segmented.png in present]
    places = np.linspace(0, len(there) - 1, min(max_decoded, len(there))).astype(int)
    decoded = {there[place].png: segment_fault(folder, there[place]) for place in places}
    return problems + list(_faulty(key, folder, source.ann_file, decoded))


def segment_fault(folder: str, segmented: Segmented) -> str:
    """Says what is wrong with a PNG; an empty string if nothing is.

    Args:
        folder: Where it is.
        segmented: What it must show.
    """
    try:
        ids = read_ids(str(Path(folder, segmented.png)))
    except DataError:
        return "no image"
    if ids.shape != segmented.size:
        height, width = segmented.size
        return f"{ids.shape[1]} x {ids.shape[0]} pixels, not {width} x {height}"
    lost = sorted(set(segmented.ids).difference(np.unique(ids).tolist()))
    return f"no pixel of segment {listed(lost)}" if lost else ""


def _faulty(key: str, folder: str, ann_file: str, decoded: Mapping[str, str]) -> Iterator[Problem]:
    items = tuple(f"{png} ({fault})" for png, fault in decoded.items() if fault)
    if items:
        found = f"{len(items)} of {len(decoded)} decoded PNGs do not fit their annotations"
        expected = f"images of the size and with the segments that {ann_file} says"
        fix = "unpack or download PNGs and annotations again: both must be of one release"
        yield Problem(key, folder, found, expected, fix, items)
