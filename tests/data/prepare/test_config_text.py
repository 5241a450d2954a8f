"""Python text of settings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmvan.data.prepare.config_text import WIDTH, Code, assignment, comment, number, quoted

LONG = "x" * 60
VALUES = {
    "short": {"a": 1, "b": [1.5, None, True], "c": (2,), "d": {"e": "f"}},
    "deep": {"one": {"two": {"three": {LONG: 1, "four": [{LONG: 2}, {LONG: 3}]}}}},
    "names that are no names": {"class": 1, "a b": {LONG: LONG}, "c": 1e-5},
    "words": [f"word {number}" for number in range(40)],
    "one long word": (LONG * 2,),
    "colours": [(number, 2 * number, 255) for number in range(30)],
    "wide words": tuple("道路標識" * 3 for _ in range(6)),
    "quotes": ("it's", 'an "odd" one', 'it\'s "odd"', "back\\slash", "line\nbreak", "Straße"),
    "empty": {"a": {}, "b": [], "c": (), "d": LONG, "e": LONG},
}


@pytest.mark.parametrize("kind", VALUES)
def test_the_text_gives_the_value_and_is_formatted(kind: str, tmp_path: Path) -> None:
    text = assignment("value", VALUES[kind]) + "\n"
    scope: dict[str, Any] = {}
    exec(text, scope)
    assert scope["value"] == VALUES[kind]
    pytest.importorskip("ruff")
    file = tmp_path / "made.py"
    file.write_text(text, encoding="utf-8")
    command = (sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(WIDTH))
    told = subprocess.run([*command, "--diff", file], capture_output=True, text=True, check=False)
    assert told.stdout == ""
    assert told.returncode == 0, told.stderr


def test_one_line_if_it_fits_else_one_part_on_each() -> None:
    assert assignment("a", {"b": 1, "c": ["d"]}) == 'a = dict(b=1, c=["d"])'
    steps = [{"type": "Resize", "scale": (1333, 800)}, {"type": LONG}, {"type": "Flip"}]
    assert assignment("pipeline", steps).splitlines() == [
        "pipeline = [",
        '    dict(type="Resize", scale=(1333, 800)),',
        f'    dict(type="{LONG}"),',
        '    dict(type="Flip"),',
        "]",
    ]


def test_words_and_colours_fill_lines() -> None:
    lines = assignment("palette", VALUES["colours"]).splitlines()
    assert lines[0] == "# fmt: off"
    assert lines[2].startswith("    (0, 0, 255), (1, 2, 255), ")
    assert len(lines) == 4 + 5
    assert max(map(len, lines)) <= WIDTH


def test_code_is_written_as_it_is() -> None:
    assert assignment("a", {"b": Code("_base_.c[0]")}) == "a = dict(b=_base_.c[0])"
    inside = "dict(head, num_classes=4) for head in _base_.model.roi_head.bbox_head"
    lines = assignment("a", {"b": {LONG[:20]: Code(f"[{inside}]")}}).splitlines()
    assert lines[2] == f"        {LONG[:20]}=["
    assert lines[3] == f"            {inside}"
    ast.parse("\n".join(lines))


@pytest.mark.parametrize(
    ("value", "text"),
    (
        (1e-05, "1e-5"),
        (1.25e-05, "1.25e-5"),
        (-0.00025, "-2.5e-4"),
        (0.001, "0.001"),
        (0.0, "0.0"),
        (100.0, "100.0"),
        (1e22, "1e22"),
    ),
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
    assert float(text) == value


def test_quotes_need_few_backslashes() -> None:
    assert quoted("it's") == '"it\'s"'
    assert quoted('a "b"') == "'a \"b\"'"


def test_comments_break_between_words_alone() -> None:
    lines = comment(" ".join(["--auto-scale-lr"] * 20)).splitlines()
    assert all(line.startswith("# --auto") and len(line) <= WIDTH for line in lines)
