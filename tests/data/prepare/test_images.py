"""Damaged images, and maps that do not fit what belongs to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmvan.data.check.panoptic import Segmented
from mmvan.data.prepare.images import LabelMap, SegmentMap, find_faults
from tests.data.prepare.making import coloured, encoded_image, label_map, write


@pytest.mark.parametrize("workers", (0, 2))
def test_damaged_images_are_all_named(tmp_path: Path, workers: int) -> None:
    files = {f"{number}.jpg": encoded_image(number) for number in range(5)}
    files |= {"1.jpg": files["1.jpg"][:-300], "3.jpg": b"<html>", "4.jpg": b""}
    write(tmp_path, files)
    faults = find_faults([tmp_path / name for name in files], workers, tmp_path)
    assert [fault.partition(": ")[0] for fault in faults] == ["1.jpg", "3.jpg", "4.jpg"]
    assert "truncated" in faults[0]
    assert "cannot identify image file" in faults[1]


def test_a_missing_image_is_a_fault(tmp_path: Path) -> None:
    (fault,) = find_faults([tmp_path / "a.jpg"], 0, tmp_path)
    assert fault.startswith("a.jpg: cannot be decoded: ")


@pytest.mark.parametrize(
    ("content", "fault"),
    (
        (label_map(3), ""),
        (coloured(np.full((32, 40), 255)), ""),
        (label_map(6), "values 3, 4, 5; expected 0 to 2, or 255 to ignore"),
        (label_map(20), "values 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 7 more; expected"),
        (label_map(3, width=8), "of size 8 x 32, but a.jpg of size 40 x 32"),
        (coloured(np.zeros((32, 40, 3))), "of mode RGB; expected one channel of class indices"),
        (label_map(3)[:60], "cannot be decoded"),
    ),
)
def test_label_maps(tmp_path: Path, content: bytes, fault: str) -> None:
    write(tmp_path, {"a.jpg": encoded_image(), "a.png": content})
    faults = find_faults([LabelMap(tmp_path / "a.png", tmp_path / "a.jpg", 3)], 0, tmp_path)
    assert len(faults) == bool(fault)
    assert not faults or faults[0].startswith(f"a.png: {fault}")


@pytest.mark.parametrize(
    ("size", "ids", "fault"),
    (
        ((2, 4), (7, 70000), ""),
        ((2, 4), (7, 70000, 9), "no pixel of segment 9"),
        ((4, 2), (7, 70000), "4 x 2 pixels, not 2 x 4"),
    ),
)
def test_segment_maps(
    tmp_path: Path, size: tuple[int, int], ids: tuple[int, ...], fault: str
) -> None:
    pixels = np.zeros((2, 4, 3))
    pixels[0, :2] = (7, 0, 0)
    pixels[1, :2] = (112, 17, 1)  # 112 + 17 * 256 + 1 * 65536 = 70000
    write(tmp_path, {"a.png": coloured(pixels)})
    faults = find_faults([SegmentMap(tmp_path, Segmented("a.jpg", size, ids))], 0, tmp_path)
    assert faults == ([f"a.png: {fault}"] if fault else [])
