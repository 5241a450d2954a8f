"""The steps that all public datasets share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmvan.data.check.problems import Problem
from mmvan.data.prepare.dataset import (
    REPORT,
    Count,
    DataSet,
    Options,
    decoding_problems,
    files_of,
    prepare,
    report,
)
from mmvan.data.prepare.placing import Rule, by_rules
from mmvan.errors import DataError
from tests.data.prepare.making import encoded_image, write

FILES = {f"in/{number}.jpg": encoded_image(number) for number in range(3)}


def data_set(files: int = 3, problems: Sequence[Problem] = ()) -> DataSet:
    return DataSet(
        target="data/x",
        needs="Get x.zip.",
        destination=lambda sources: by_rules([Rule(r"in/([^/]+\.jpg)", r"train/a/\1")]),
        counts=(Count("train", files, 1),),
        check=lambda options: list(problems),
        finish=lambda options: "Train with it.",
    )


def refusal(data: DataSet, options: Options) -> str:
    with pytest.raises(DataError) as caught:
        prepare(data, options)
    return str(caught.value)


def test_what_was_done_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "source", FILES | {"readme.md": b""})
    told = prepare(data_set(), Options(tmp_path / "target", (source,)))
    assert told.splitlines() == [
        f"{tmp_path / 'target'}: 3 files placed, 0 there already, 1 not needed; images decoded; "
        "train 3 files in 1 folders",
        "Train with it.",
    ]
    again = prepare(data_set(), Options(tmp_path / "target", decode=False))
    assert "0 files placed, 0 there already, 0 not needed; images not decoded" in again


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    text = refusal(data_set(), Options(tmp_path / "none"))
    assert "none: no such folder" in text
    assert text.endswith("Name --source. Get x.zip.")


def test_a_source_of_something_else(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"a.jpg": b"", "b.jpg": b""})
    text = refusal(data_set(), Options(tmp_path / "target", (source,)))
    assert text.endswith("source: none of its 2 files is of this dataset. Get x.zip.")


def test_fewer_files_than_published(tmp_path: Path) -> None:
    options = Options(tmp_path / "target", (write(tmp_path / "source", FILES),))
    text = refusal(data_set(files=5), options)
    assert "found:    3 files in 1 folders\n   expected: 5 files in 1 folders" in text
    assert "--partial" in text
    partial = Options(options.target, partial=True)
    assert "train 3 files" in prepare(data_set(files=5), partial)


def test_no_files_are_not_a_part(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    text = refusal(data_set(), Options(tmp_path / "target", partial=True))
    assert "found:    0 files\n   expected: at least one file" in text


def test_all_problems_are_told_at_once_and_reported_in_full(tmp_path: Path) -> None:
    source = write(tmp_path / "source", FILES)
    target = write(tmp_path / "target", {"train/a/1.jpg": b"mine"})
    items = tuple(f"{number}.jpg" for number in range(30))
    wrong = Problem("val", "b", "30 files are faulty", "whole files", "copy them", items)
    text = refusal(data_set(4, [wrong]), Options(target, (source,)))
    assert text.startswith(f"3 problems with {target}, in full in {target / REPORT}:")
    assert "1 files are in the way: train/a/1.jpg is not in/1.jpg" in text
    assert "30 files are faulty: 0.jpg, 1.jpg, " in text
    assert "19.jpg and 10 more" in text
    lines = (target / REPORT).read_text().splitlines()
    assert [line.strip() for line in lines if line.startswith("    ")][-30:] == list(items)
    report([], target)
    assert not (target / REPORT).exists()


def test_images_are_decoded_unless_told_otherwise(tmp_path: Path) -> None:
    folder = write(tmp_path / "train", {"a/1.jpg": encoded_image(), "b/2.jpg": b"x"})
    assert files_of(folder) == [folder / "a/1.jpg", folder / "b/2.jpg"]
    assert files_of(folder / "none") == []
    (problem,) = decoding_problems(folder, files_of(folder), Options(tmp_path))
    assert (problem.key, problem.found) == ("train", "1 of 2 files are faulty")
    assert problem.items[0].startswith("b/2.jpg: cannot be decoded")
    assert decoding_problems(folder, files_of(folder), Options(tmp_path, decode=False)) == []
