"""The command that makes the sample data."""

from pathlib import Path

import pytest

from mmvan.cli.main import main
from mmvan.engine.errors import USER_ERROR_STATUS


def test_it_makes_all_data_sets_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sample"
    arguments = ["sample-data", "--out", str(out), "--size", "1", "1"]
    main(arguments)
    assert capsys.readouterr().out.count(": made\n") == 3
    assert sorted(path.name for path in out.iterdir()) == ["ade20k", "coco", "imagenet"]
    main(arguments)
    assert capsys.readouterr().out.count("complete already, nothing to do") == 3


def test_it_makes_one_data_set(tmp_path: Path) -> None:
    main(["sample-data", "--out", str(tmp_path), "--task", "seg", "--size", "1", "1"])
    assert [path.name for path in tmp_path.iterdir()] == ["ade20k"]


def test_it_says_what_is_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "coco").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["sample-data", "--out", str(tmp_path), "--task", "det"])
    assert ended.value.code == USER_ERROR_STATUS
    assert f"error: {tmp_path / 'coco'} exists but was not made by" in capsys.readouterr().err
