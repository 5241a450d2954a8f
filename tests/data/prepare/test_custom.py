"""What custom datasets share."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from mmvan.data.prepare.custom import (
    Choice,
    assign,
    common_folder,
    list_images,
    split_of,
    write_once,
)
from mmvan.errors import DataError
from tests.data.prepare.making import write, zipped

NAMES = [f"{number}.jpg" for number in range(50)]


def test_the_split_has_its_share_and_its_seed() -> None:
    splits = assign(NAMES, Choice(0.2, 0))
    assert sorted(splits) == sorted(NAMES)
    assert list(splits.values()).count("val") == 10
    assert assign(reversed(NAMES), Choice(0.2, 0)) == splits
    assert assign(NAMES, Choice(0.2, 1)) != splits


@pytest.mark.parametrize(("ratio", "val"), ((0.01, 1), (0.99, 2)))
def test_each_split_gets_an_image(ratio: float, val: int) -> None:
    assert list(assign(NAMES[:3], Choice(ratio)).values()).count("val") == val


@pytest.mark.parametrize("ratio", (0.0, 1.0, -1.0, 20.0))
def test_a_ratio_out_of_range(ratio: float) -> None:
    with pytest.raises(DataError, match=f"--val-ratio {ratio}: expected a share"):
        Choice(ratio)


@pytest.mark.parametrize(
    ("names", "folder"),
    (
        (["x/y/a/1.jpg", "x/y/b/2.jpg"], "x/y"),
        (["a/1.jpg", "b/1.jpg"], "."),
        (["x/1.jpg", "x/a/2.jpg"], "x"),
        (["1.jpg", "x/2.jpg"], "."),
        (["x/a/1.jpg", "x/a/2.jpg"], "x/a"),
    ),
)
def test_the_folder_around_everything(names: list[str], folder: str) -> None:
    assert common_folder(names) == PurePosixPath(folder)


def test_folders_that_name_a_split() -> None:
    names = ("train/a", "Training/a", "valid/a", "test/a", "trains/a", "a/train")
    assert [split_of(name) for name in names] == ["train", "train", "val", "val", "", ""]


def test_images_of_folders_and_archives(tmp_path: Path) -> None:
    write(tmp_path, {"a.zip": zipped({"1.JPG": b"", "2.txt": b""}), "b/3.png": b""})
    assert list_images([tmp_path]) == ["a/1.JPG", "b/3.png"]
    with pytest.raises(DataError, match="no image in it"):
        list_images([tmp_path / "b"], (".bmp",))


def test_a_file_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "deep/a.json"
    write_once(file, "1")
    write_once(file, "1")
    with pytest.raises(DataError, match=r"a\.json is there with another content"):
        write_once(file, "2")
    assert file.read_text() == "1"
