"""The command that makes the sample data."""

from __future__ import annotations

from pathlib import Path

import prepare_sample_data
import pytest


def test_it_makes_all_data_sets_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sample"
    arguments = ["--out", str(out), "--size", "1", "1"]
    assert prepare_sample_data.main(arguments) == 0
    assert capsys.readouterr().out.count(": made\n") == 3
    assert sorted(path.name for path in out.iterdir()) == ["ade20k", "coco", "imagenet"]
    assert prepare_sample_data.main(arguments) == 0
    assert capsys.readouterr().out.count("complete already, nothing to do") == 3


def test_it_makes_one_data_set(tmp_path: Path) -> None:
    assert (
        prepare_sample_data.main(["--out", str(tmp_path), "--task", "seg", "--size", "1", "1"]) == 0
    )
    assert [path.name for path in tmp_path.iterdir()] == ["ade20k"]


def test_it_says_what_is_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "coco").mkdir()
    assert prepare_sample_data.main(["--out", str(tmp_path), "--task", "det"]) == 2
    assert f"error: {tmp_path / 'coco'} exists but was not made by" in capsys.readouterr().err
