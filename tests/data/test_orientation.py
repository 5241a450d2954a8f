"""The rule of orientation against Pillow's own turning, and where OpenCV follows it."""

import io
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from mmvan.data.orientation import is_turned, turn, turned_unseen, upright_size

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 24, 3), np.uint8)


def stored(value: int, form: str = "PNG") -> bytes:
    """An image file, 24 wide and 8 high as it is stored, with an orientation."""
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    file = io.BytesIO()
    image.save(file, form, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("value", range(1, 9))
def test_sizes_and_maps_are_turned_as_pillow_turns(value: int) -> None:
    image = Image.open(io.BytesIO(stored(value)))
    seen = ImageOps.exif_transpose(image)
    assert upright_size(image) == seen.size
    assert is_turned(image) is (value != 1)
    labels = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).save(labels, "PNG")
    turned = np.asarray(Image.open(io.BytesIO(turn(labels.getvalue(), image))))
    assert np.array_equal(turned, np.asarray(seen)[..., 0])


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("backend", ("cv2", "pillow"))
def test_the_libraries_loaders_see_the_upright_image(value: int, backend: str) -> None:
    content = stored(value)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    found = mmcv.imfrombytes(content, "color", channel_order="rgb", backend=backend)
    assert np.array_equal(found, seen)


def test_a_map_of_another_size_and_other_values_are_left_alone() -> None:
    labels = io.BytesIO()
    Image.new("L", (5, 5)).save(labels, "PNG")
    assert turn(labels.getvalue(), Image.open(io.BytesIO(stored(6)))) == labels.getvalue()
    odd = Image.open(io.BytesIO(stored(77)))
    assert not is_turned(odd)
    assert upright_size(odd) == (24, 8)


def test_webp_that_opencv_does_not_turn_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(stored(6, "WEBP"))
    assert cv2.imread(str(tmp_path / "a.webp")).shape == (8, 24, 3)
    with Image.open(tmp_path / "a.webp") as image:
        assert "EXIF turns this WebP" in turned_unseen(image)
    with Image.open(io.BytesIO(stored(1, "WEBP"))) as image:
        assert turned_unseen(image) == ""
    with Image.open(io.BytesIO(stored(6))) as image:
        assert turned_unseen(image) == ""
