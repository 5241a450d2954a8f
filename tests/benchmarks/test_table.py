"""The long table: what it says about itself, and damaged ones."""

import csv
import re
from pathlib import Path

import pytest
import table
from instructions import table_device
from table import Conditions, Measurement, Table, compare, read_table, write_table
from timing import Spread

from mmvan.errors import DataError

KINDS = {"theirs": ("float32", "contiguous"), "ours": ("bfloat16", "own")}
CONDITIONS = Conditions("cpu", "A processor", 2, "Python 3, torch 2", "2026-01-02", "abc")


def rows_of_two_forms() -> list[Measurement]:
    values = {"theirs": Spread(20.0, 19.0, 21.5, 9), "ours": Spread(5.0, 4.5, 5.5, 9)}
    common = {"suite": "speed", "case": "a case", "arch": "b0", "batch": 8, "size": 224}
    differences = {"theirs": 0.0, "ours": 1e-3}
    return compare(values, "theirs", KINDS, differences, **common, metric="time", unit="ms")


def test_forms_are_compared_with_the_baseline() -> None:
    theirs, ours = rows_of_two_forms()
    assert (theirs.ratio, ours.ratio) == (1.0, 4.0)
    assert (theirs.difference, ours.difference) == (0.0, 1e-3)
    assert (ours.dtype, ours.layout, ours.p20, ours.p80, ours.repeats) == (
        *KINDS["ours"],
        4.5,
        5.5,
        9,
    )


def test_a_table_reads_as_it_was_written(tmp_path: Path) -> None:
    written = Table(CONDITIONS, rows_of_two_forms())
    write_table(written, tmp_path / "speed.csv")
    assert read_table(tmp_path / "speed.csv") == written


def test_every_row_carries_the_conditions(tmp_path: Path) -> None:
    write_table(Table(CONDITIONS, rows_of_two_forms()), tmp_path / "speed.csv")
    with (tmp_path / "speed.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["versions"] for line in lines] == [CONDITIONS.versions] * 2
    assert [line["threads"] for line in lines] == ["2", "2"]


def test_no_ratio_and_no_difference_stay_none(tmp_path: Path) -> None:
    row = Measurement("s", "c", "b0", 0, 0, "f", "", "", "m", "%", 75.4, 75.4, 75.4, 1)
    write_table(Table(CONDITIONS, [row]), tmp_path / "s.csv")
    assert read_table(tmp_path / "s.csv").rows == [row]


def test_the_conditions_name_processor_versions_and_commit() -> None:
    found = table.current_conditions("cpu", 3)
    assert (found.device, found.threads) == (table_device("cpu"), 3)
    assert found.machine
    names = [part.split(" ")[0].removeprefix("onedl-") for part in found.versions.split(", ")]
    assert {"Python", "mmvan", "torch", "mmengine", "mmcv", "mmpretrain"} <= set(names)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("", r"found nothing and 0 rows"),
        ("suite,case\nx,y\n", r"found suite, case and 1 rows"),
    ),
)
def test_a_file_with_other_columns_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=rf"bad\.csv: expected the columns suite, case.*{message}"):
        read_table(tmp_path / "bad.csv")


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    file = tmp_path / "speed.csv"
    write_table(Table(CONDITIONS, rows_of_two_forms()), file)
    file.write_text(file.read_text().replace(",20,", ",fast,"))
    with pytest.raises(DataError, match=r"speed\.csv: a value has the wrong form: .*'fast'"):
        read_table(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_table(tmp_path / "none.csv")
