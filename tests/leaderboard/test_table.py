import csv
import io

from mmvan.leaderboard.table import to_csv, to_markdown, to_text

TABLE = (("name", "value"), ("b0, tiny", "4.1"), ("a|b", "-"))


def test_text_aligns_columns_and_ends_lines_without_spaces() -> None:
    assert to_text(TABLE).splitlines() == ["name      value", "b0, tiny  4.1", "a|b       -"]


def test_csv_reads_back() -> None:
    assert [*csv.reader(io.StringIO(to_csv(TABLE)))] == [list(row) for row in TABLE]


def test_markdown_escapes_bars() -> None:
    assert to_markdown(TABLE).splitlines() == [
        "| name | value |",
        "| --- | --- |",
        "| b0, tiny | 4.1 |",
        r"| a\|b | - |",
    ]
