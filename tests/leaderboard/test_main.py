import csv
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

import mmvan.leaderboard.__main__ as command
from mmvan.engine.errors import USER_ERROR_STATUS, run_command
from mmvan.leaderboard import audit_command
from mmvan.leaderboard.published import load_results
from tests.configs.zoo import LEAVES

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


@pytest.fixture
def tiny_configs(tmp_path: Path) -> Path:
    """A folder with the smallest classifier and its ablations, which inherit the real ones."""
    folder = tmp_path / "configs" / "classification"
    folder.mkdir(parents=True)
    for leaf in LEAVES:
        if leaf.stem.startswith("van_t_in1k"):
            (folder / leaf.name).write_text(f"_base_ = {str(leaf)!r}\n")
    return folder.parent


def status_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: command.main([*map(str, arguments)]))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_part_of_the_audit_prints_and_writes_its_table(
    tiny_configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    sections = ("--sections", "ablations_b0", "coco_retinanet_1x")
    assert status_of("audit", "--configs", tiny_configs, "--out", out, *sections) == 0
    printed = capsys.readouterr().out
    summary = "19 agrees, 1 differs, known, 0 DIFFERS, 0 NOT COUNTED, 4 no config yet"
    assert summary in printed
    with (out / "audit.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 24
    assert {row["verdict"] for row in rows[-4:]} == {"no config yet"}
    page = (out / "audit.md").read_text()
    assert page.count("\n| ") == 26
    assert summary in page
    assert "torch" in page


def test_a_part_of_the_audit_leaves_out_the_configs_of_other_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("audit", "--out", tmp_path, "--sections", "coco_mask_rcnn_1x") == 0
    assert "4 agrees" in capsys.readouterr().out
    with (tmp_path / "audit.csv").open() as file:
        assert [row["config"] for row in csv.DictReader(file)] == [
            f"van_{size}_maskrcnn" for size in "tsbl"
        ]


def test_one_wrong_figure_ends_with_status_1(
    tiny_configs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def one_wrong() -> list[object]:
        rows = [row for row in load_results() if row.section == "ablations_b0"]
        return [replace(rows[0], figures={"params": Decimal("4.2")}), *rows[1:]]

    monkeypatch.setattr(audit_command, "load_results", one_wrong)
    assert status_of("audit", "--configs", tiny_configs, "--out", tmp_path / "out") == 1
    assert "1 DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (("audit", "--sections", "architecture"), "Did you mean architectures?"),
        (("audit", "--configs", "nowhere"), "nowhere: no configs found"),
        (("audit", "--out", __file__), "cannot be created"),
        (("audit", "--sections"), "expected at least one argument"),
        (("audti",), "invalid choice: 'audti'"),
        ((), "required: COMMAND"),
    ),
)
def test_a_wrong_command_line_is_explained(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == USER_ERROR_STATUS
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_audit_has_no_unexplained_difference_and_is_documented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("audit", "--out", tmp_path) == 0
    with (tmp_path / "audit.csv").open() as file:
        rows = [*csv.DictReader(file)]
    published = [row for row in rows if row["published"] != "-"]
    assert len(published) == 82
    assert {row["config"].partition(" ")[0] for row in rows} >= {path.stem for path in LEAVES}
    checked = [row for row in published if row["ours"] != "-"]
    assert len(checked) >= 66
    assert sum(row["verdict"].startswith("differs, known") for row in checked) == 4
    assert sum(row["verdict"] == "agrees" for row in checked) == len(checked) - 4
    assert "0 DIFFERS, 0 NOT COUNTED" in capsys.readouterr().out
    table = (tmp_path / "audit.md").read_text().partition("\n\n")[2]
    stale = f"{DOCUMENT} must end with the table of `python -m mmvan.leaderboard audit` (audit.md)"
    assert DOCUMENT.read_text().endswith(table), stale
