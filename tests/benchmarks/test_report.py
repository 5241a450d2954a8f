"""The page and the images of the tables."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import report
from goals import GOALS
from inference import CPU_CASES, forms_on
from table import read_table, write_table

from mmvan.errors import DataError

COMMITTED = Path(report.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the committed tables and page."""
    for file in (*COMMITTED.glob("*_cpu.csv"), COMMITTED / report.PAGE):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_the_committed_page_is_as_the_committed_tables_say() -> None:
    tables = report.load_tables(COMMITTED)
    suites = {suite for suite, device in tables if device == "cpu"}
    assert suites == set(report.SECTIONS)
    assert (COMMITTED / report.PAGE).read_text("utf-8") == report.make_page(tables)


def test_the_page_lists_every_goal_and_every_form_of_inference(folder: Path) -> None:
    page = report.make_page(report.load_tables(folder))
    table = page.partition("## Goals")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith(("| CPU", "| GPU"))]
    assert len(rows) == len(GOALS) == 19
    assert sum("not measured (no GPU)" in row for row in rows) == 4
    forms = {row.form for row in read_table(folder / "inference_cpu.csv").rows} - {"published"}
    assert len(forms) >= 11
    assert forms <= {form for case in CPU_CASES for form in forms_on("cpu") if case.has(form)}
    assert all(f"| {form} |" in page for form in forms)


def test_a_form_beyond_the_tolerance_is_marked(folder: Path) -> None:
    file = folder / "inference_cpu.csv"
    table = read_table(file)
    assert (
        "**wrong**" not in report.make_page({("inference", "cpu"): table}).partition("## Goals")[2]
    )
    rows = [replace(row, difference=0.5) if row.difference else row for row in table.rows]
    damaged = sum(row.difference == 0.5 for row in rows)
    write_table(replace(table, rows=rows), file)
    page = report.make_page(report.load_tables(folder)).partition("## Goals")[2]
    assert page.count("**wrong**") == damaged > 10


def test_the_report_is_written_once_and_then_up_to_date(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / report.PAGE).unlink()
    with pytest.raises(SystemExit, match=r"README\.md: not as the tables say"):
        report.check_report(folder)
    report.write_report(folder)
    report.check_report(folder)
    assert capsys.readouterr().out.endswith("README.md: up to date\n")
    images = sorted(folder.glob("*.png"))
    assert [image.name for image in images] == ["accuracy_cpu.png", "goals_cpu.png"]
    assert all(10_000 < image.stat().st_size < 150_000 for image in images)


def test_a_part_is_shown_as_one_where_there_is_no_whole_table(folder: Path) -> None:
    whole, part = (folder / f"training_cpu{kind}.csv" for kind in ("", ".partial"))
    shutil.copy(whole, part)
    key = ("training", "cpu")
    assert not report.load_tables(folder)[key].is_partial
    whole.unlink()
    tables = report.load_tables(folder)
    assert tables[key].is_partial
    section = report.make_page(tables).partition("## Training step")[2].partition("\n## ")[0]
    assert "**A part of the cases.** Measured on" in section


def test_tables_with_avx2_alone_have_sections_and_images_of_their_own(folder: Path) -> None:
    for suite in ("inference", "training"):
        shutil.copy(folder / f"{suite}_cpu.csv", folder / f"{suite}_cpu-avx2.csv")
    page = report.make_page(report.load_tables(folder))
    headings = [line for line in page.splitlines() if line.endswith(", with AVX2 alone")]
    assert headings == ["## Inference, with AVX2 alone", "## Training step, with AVX2 alone"]
    assert "![goals, cpu-avx2](goals_cpu-avx2.png)" in page
    rows = [line for line in page.splitlines() if line.startswith("| CPU with AVX2 alone: ")]
    assert len(rows) == 3
    assert "| >= 1.6 | 2.4 | reached |" in rows[2]


def test_a_changed_table_makes_the_page_stale(folder: Path) -> None:
    file = folder / "startup_cpu.csv"
    table = read_table(file)
    rows = [replace(row, median=row.median * 2) for row in table.rows]
    write_table(replace(table, rows=rows), file)
    with pytest.raises(SystemExit, match=r"run benchmarks/run\.py report"):
        report.check_report(folder)


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no table such as inference_cpu\.csv"):
        report.load_tables(tmp_path)
