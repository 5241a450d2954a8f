"""The numbers of segments in the colours of PNG files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmvan.data.panoptic import decode_ids, encode_ids, read_ids
from mmvan.errors import DataError


def test_a_number_is_red_and_256_times_green_and_65536_times_blue() -> None:
    colours = np.array([[[7, 0, 0], [0, 1, 0], [3, 2, 1], [255, 255, 255]]], np.uint8)
    assert decode_ids(colours).tolist() == [[7, 256, 3 + 2 * 256 + 65536, 2**24 - 1]]
    assert np.array_equal(encode_ids(decode_ids(colours)), colours)


def test_files_are_read_as_they_are_written(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 2**24, (9, 13), np.int32)
    Image.fromarray(encode_ids(ids)).save(tmp_path / "segments.png")
    found = read_ids(str(tmp_path / "segments.png"))
    assert found.dtype == np.int32
    assert np.array_equal(found, ids)


@pytest.mark.parametrize("content", (None, b"", b"<html>"))
def test_a_file_that_is_missing_or_no_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "segments.png"
    if content is not None:
        path.write_bytes(content)
    what = "no such file" if content is None else "no image"
    with pytest.raises(DataError, match=f"segments.png: {what}; expected a PNG of panoptic"):
        read_ids(str(path))
