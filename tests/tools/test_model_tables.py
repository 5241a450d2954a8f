"""The command that writes the tables of models."""

from pathlib import Path

import model_tables
import pytest

from mmvan.errors import ConfigError
from mmvan.zoo.tables import BEGIN, END


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose pages have marks and nothing between them."""
    (tmp_path / "docs").mkdir()
    for page in model_tables.PAGES:
        (tmp_path / page).write_text(f"# A page\n{BEGIN}\n{END}\nMore\n")
    monkeypatch.setattr(model_tables, "PROJECT", tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["model_tables.py", *arguments])
    model_tables.main()


def test_it_writes_the_tables_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch)
    assert capsys.readouterr().out == "README.md: written\ndocs/model_zoo.md: written\n"
    assert "](configs/detection/van_b_maskrcnn.py)" in (project / "README.md").read_text()
    written = (project / "docs" / "model_zoo.md").read_text()
    assert "](../configs/detection/van_b_maskrcnn.py)" in written
    assert written.endswith(f"{END}\nMore\n")
    run(monkeypatch, "--check")
    assert capsys.readouterr().out.count("up to date") == 2


def test_the_check_names_the_page_that_differs_and_writes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch)
    page = project / "README.md"
    page.write_text(page.read_text().replace("82.8", "82.9"))
    before = page.read_text()
    with pytest.raises(SystemExit, match=r"^README\.md: not as the metafiles say") as ended:
        run(monkeypatch, "--check")
    assert "model_zoo" not in str(ended.value)
    assert page.read_text() == before


def test_a_page_without_marks_or_missing_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "README.md").write_text("# A page\n")
    with pytest.raises(ConfigError, match=r"README\.md: expected one line '<!-- models: begin"):
        run(monkeypatch)
    (project / "README.md").unlink()
    with pytest.raises(ConfigError, match=r"README\.md is not there\. Run this command in a clone"):
        run(monkeypatch)
