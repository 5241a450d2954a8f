import sys
from pathlib import Path

import check_machines
import pytest
from check_machines import (
    BEGIN,
    END,
    NOT_RUN,
    PAGE,
    RECORDS,
    check,
    make_table,
    parse_args,
    put,
    read_records,
    replace_table,
    write_records,
)

from mmvan.errors import ConfigError

RECORD = {
    "system": "Debian 13",
    "python": "3.13.5",
    "family": "onedl",
    "torch": "2.13.0",
    "setup": "9.1 min",
    "doctor": "0.2 min",
    "tests": NOT_RUN,
    "demo": NOT_RUN,
}


def test_the_page_shows_what_is_recorded() -> None:
    page = PAGE.read_text("utf-8")
    assert replace_table(page, make_table(read_records(RECORDS))) == page


def test_records_are_written_and_read(tmp_path: Path) -> None:
    write_records(tmp_path / "r.csv", [RECORD])
    assert read_records(tmp_path / "r.csv") == [RECORD]


def test_a_new_record_replaces_the_one_about_the_same() -> None:
    again = {**RECORD, "setup": "1.0 min"}
    other = {**RECORD, "python": "3.11.2"}
    assert put([RECORD], again) == [again]
    assert put([RECORD], other) == [other, RECORD]


def test_the_table_stands_between_its_marks() -> None:
    page = replace_table(f"a\n{BEGIN}\nold\n{END}\nb\n", make_table([RECORD]))
    assert page.startswith(f"a\n{BEGIN}\n\n| system | python |")
    assert page.endswith(f"| 9.1 min | 0.2 min | not run | not run |\n\n{END}\nb\n")
    with pytest.raises(ConfigError, match="has no line <!-- machines: end"):
        replace_table(BEGIN, "")


def test_every_step_is_run_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> str:
        commands.append(command)
        return "failed (1) after 2.0 min" if "pytest" in command else "1.0 min"

    monkeypatch.setattr(check_machines, "run", run)
    monkeypatch.setattr(check_machines, "ask", lambda python, expression, module: "2.14.1")
    arguments = ["--venv", str(tmp_path), "--torch", "torch==2.14.1", "--tests", "tests/ops"]
    record = check(parse_args(arguments))
    assert [record[key] for key in ("setup", "doctor", "tests", "demo")] == [
        "1.0 min",
        "1.0 min",
        "failed (1) after 2.0 min",
        NOT_RUN,
    ]
    assert commands[0][0] == sys.executable
    assert commands[0][-2:] == ["--torch", "torch==2.14.1"]
    assert commands[2][-1] == "tests/ops"


def test_after_a_failed_setup_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_machines, "run", lambda command: "failed (1) after 0.1 min")
    record = check(parse_args(["--venv", str(tmp_path), "--family", "onedl"]))
    assert record["family"] == "onedl"
    assert [record[key] for key in ("doctor", "tests", "demo")] == [NOT_RUN] * 3


@pytest.mark.parametrize(
    ("release", "name"),
    (
        ({"NAME": "Debian GNU/Linux", "VERSION_ID": "13"}, "Debian 13"),
        ({"NAME": "Ubuntu", "VERSION_ID": "24.04"}, "Ubuntu 24.04"),
        ({"NAME": "Arch Linux"}, "Arch"),
    ),
)
def test_the_system_is_named_shortly(
    release: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_machines.platform, "freedesktop_os_release", lambda: release)
    assert check_machines.name_system() == name


def test_a_command_is_timed_or_its_status_told() -> None:
    assert check_machines.run([sys.executable, "-c", ""]).endswith(" min")
    failing = check_machines.run([sys.executable, "-c", "raise SystemExit(3)"])
    assert failing.startswith("failed (3) after ")
