"""What may be uploaded."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmvan.app.uploads import ENDINGS, FORMATS, Limits, check_upload
from mmvan.errors import DataError

LIMITS = Limits(megabytes=1, megapixels=1)


class Attack:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def image_file(folder: Path, name: str, size: tuple[int, int] = (8, 6), **options: str) -> Path:
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("ending", ENDINGS)
def test_images_are_taken(ending: str, tmp_path: Path) -> None:
    file = image_file(tmp_path, f"a{ending}")
    assert check_upload(str(file), LIMITS) == file
    assert len(FORMATS) == 5


def test_the_content_counts_and_not_the_ending(tmp_path: Path) -> None:
    assert check_upload(image_file(tmp_path, "a.txt", format="PNG"), LIMITS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    (
        ("a.jpg", b"", r"^a\.jpg is empty \(0 bytes\)"),
        ("a.jpg", b"hello", r"^a\.jpg is no image that can be read; JPEG, PNG"),
        ("a.png", b"\x89PNG\r\n\x1a\n", r"^a\.png is no image that can be read"),
        ("a.jpg", b"x" * (2**20 + 1), r"^a\.jpg has 1\.0 MB; at most 1 are accepted"),
        ("a.ps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"is no image that can be"),
    ),
)
def test_other_files_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        check_upload(tmp_path / name, LIMITS)


@pytest.mark.parametrize("megapixels", (100, 400))
def test_large_images_are_refused_by_their_header(megapixels: int, tmp_path: Path) -> None:
    """Above 179 megapixels Pillow itself refuses them."""
    side = int((megapixels * 10**6) ** 0.5)
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 100_000
    expected = f"{side} x {side} pixels, {megapixels} mega" if megapixels == 100 else "no image"
    with pytest.raises(DataError, match=expected):
        check_upload(tmp_path / "a.png", LIMITS)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    file, mark = tmp_path / "a.png", tmp_path / "mark"
    file.write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(DataError, match="is no image"):
        check_upload(file, LIMITS)
    assert not mark.exists()
    pickle.loads(file.read_bytes())
    assert mark.exists()  # so the attack works


def test_no_upload_at_all() -> None:
    with pytest.raises(DataError, match="No image yet"):
        check_upload(None, LIMITS)
