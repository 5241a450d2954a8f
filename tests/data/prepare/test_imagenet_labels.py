"""The classes of the validation images, in every form in which they go around."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmvan.data.prepare.imagenet_labels import find_labels, image_name
from mmvan.errors import DataError
from tests.data.prepare.imagenet_devkit import DEVKIT, LABELS, TRUTH, devkit
from tests.data.prepare.making import tarred, write

EXPECTED = {image_name(number): wnid for number, wnid in enumerate(LABELS, 1)}


def test_names_are_those_of_the_challenge() -> None:
    assert image_name(293) == "ILSVRC2012_val_00000293"


@pytest.mark.parametrize("form", ("archive", "folder of archives", "unpacked"))
def test_the_devkit(tmp_path: Path, form: str) -> None:
    archive = "ILSVRC2012_devkit_t12.tar.gz"
    write(tmp_path, devkit() if form == "unpacked" else {archive: tarred(devkit(), "w:gz")})
    source = tmp_path / archive if form == "archive" else tmp_path
    assert find_labels([source]) == EXPECTED


@pytest.mark.parametrize(
    ("file", "line"),
    (
        ("valprep.sh", "mv {name}.JPEG {wnid}/"),
        ("val_map.txt", "{name}.JPEG {wnid}"),
        ("LOC_val_solution.csv", "{name},{wnid} 85 1 499 272 n99999999 1 2 3 4"),
    ),
)
def test_lists(tmp_path: Path, file: str, line: str) -> None:
    lines = [line.format(name=name, wnid=wnid) for name, wnid in EXPECTED.items()]
    write(tmp_path, {f"deep/{file}": "\n".join(["mkdir -p n01440764", *lines]).encode()})
    assert find_labels([tmp_path]) == EXPECTED


def test_sources_that_do_not_tell(tmp_path: Path) -> None:
    write(tmp_path, {"train.tar": b"not opened", "a.txt": b""})
    assert find_labels([tmp_path, tmp_path / "train.tar"]) == {}


def test_ids_that_are_no_class(tmp_path: Path) -> None:
    # Id 4 is a synset with children.
    write(tmp_path, devkit() | {f"{DEVKIT}/{TRUTH}": b"1\n4\n9\n"})
    with pytest.raises(DataError, match=r"does not have as classes: \[4, 9\]"):
        find_labels([tmp_path])


def test_a_meta_file_that_is_none(tmp_path: Path) -> None:
    write(tmp_path, devkit() | {f"{DEVKIT}/meta.mat": b"<html>"})
    with pytest.raises(DataError, match=r"meta\.mat cannot be read .* get it again"):
        find_labels([tmp_path])
