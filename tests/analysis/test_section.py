import csv
import re
from pathlib import Path

from mmvan.analysis.report import write_report
from mmvan.analysis.section import Section
from mmvan.visualization.figures import new_figure


def section() -> Section:
    figure, _ = new_figure(1, 1, "title", "note")
    rows = [("<b>cat</b>", 0.123456), *(("dog", 1.0) for _ in range(70))]
    return Section("part", "A & B", "words", ("class", "AP"), rows, [("caption", figure)])


def test_files_and_text(tmp_path: Path) -> None:
    written = section().write(tmp_path)
    assert [path.name for path in written] == ["part.csv", "part.png"]
    with written[0].open() as file:
        assert list(csv.reader(file))[1] == ["<b>cat</b>", "0.123456"]
    text = section().as_text()
    assert "<b>cat</b>  0.1235" in text
    assert "31 more rows in part.csv" in text


def test_the_report_needs_nothing_else(tmp_path: Path) -> None:
    write_report("van: analysis", [section()], tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "A &amp; B" in page
    assert len(re.findall(r'src="data:image/png;base64,', page)) == page.count("<img") == 1
    assert not re.findall(r"https?://|<script|<link|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
