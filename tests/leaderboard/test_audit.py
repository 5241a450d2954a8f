from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from mmvan.errors import ConfigError
from mmvan.leaderboard.audit import (
    CONTRADICTIONS,
    agrees,
    audit,
    make_table,
    summarise,
)
from mmvan.leaderboard.published import PublishedRow, load_results
from tests.configs.zoo import CONFIGS

TINY = {"van_t_in1k": CONFIGS / "classification" / "van_t_in1k.py"}


def rows_of(section: str, label: str) -> list[PublishedRow]:
    return [row for row in load_results() if (row.section, row.label) == (section, label)]


@pytest.mark.parametrize(
    ("ours", "published", "expected"),
    (
        ("4.1499", "4.1", True),
        ("4.15", "4.1", True),
        ("4.1501", "4.1", False),
        ("4.0499", "4.1", False),
        ("90.04", "90.0", True),
        ("90.06", "90.0", False),
        ("90.4", "90", True),
        ("0.8954", "0.90", True),
        ("0.8949", "0.90", False),
    ),
)
def test_the_printed_digits_decide(ours: str, published: str, expected: bool) -> None:
    assert agrees(Decimal(ours), Decimal(published)) is expected


def test_a_published_row_is_compared_with_its_config() -> None:
    entries = audit(rows_of("architectures", "b0"), TINY)
    assert [(entry.figure, entry.verdict) for entry in entries] == [
        ("params", "agrees"),
        ("flops", "agrees"),
    ]
    assert entries[0].ours == Decimal("4.105800")
    assert make_table(entries)[1] == (
        *("architectures", "b0", "van_t_in1k", "224x224", "params (M)"),
        *("4.1", "4.106", "+0.006", "agrees"),
    )


def test_a_wrong_figure_differs() -> None:
    (row,) = rows_of("architectures", "b0")
    wrong = replace(row, figures={"params": Decimal("4.1"), "flops": Decimal("1.0")})
    entries = audit([wrong], TINY)
    assert [entry.verdict for entry in entries] == ["agrees", "DIFFERS"]
    assert summarise(entries).startswith("1 agrees, 0 differs, known, 1 DIFFERS")


def test_a_known_contradiction_holds_for_the_verified_value_only() -> None:
    (row,) = rows_of("ablations_b0", "b0 without_dw_d_conv")
    name = "van_t_in1k_without_dw_d_conv"
    config = {name: CONFIGS / "classification" / f"{name}.py"}
    assert [entry.verdict for entry in audit([row], config)] == ["agrees", "differs, known"]
    other_model = replace(row, settings={})
    printed = replace(other_model, figures={"flops": Decimal("1.0")})
    assert [entry.verdict for entry in audit([printed], TINY)] == ["DIFFERS"]


def test_every_known_contradiction_is_about_a_published_figure() -> None:
    published = {(r.section, r.label, figure) for r in load_results() for figure in r.figures}
    assert len(CONTRADICTIONS) == 4
    assert CONTRADICTIONS.keys() <= published


def test_rows_without_config_are_listed_until_it_exists(tmp_path: Path) -> None:
    row = replace(rows_of("coco_retinanet_1x", "b0")[0], figures={"params": Decimal("4.1")})
    (entry,) = audit([row], {})
    assert (entry.subject.config, entry.verdict, entry.ours) == (
        "van_t_retinanet",
        "no config yet",
        None,
    )
    assert make_table([entry])[1][5:] == ("4.1", "-", "-", "no config yet")
    (entry,) = audit([row], {"van_t_retinanet": TINY["van_t_in1k"]})
    assert entry.verdict == "agrees"


def test_a_config_about_which_nothing_is_published_is_counted_too() -> None:
    sample = CONFIGS / "classification" / "van_t_in1k_sample.py"
    entries = audit([], {"van_t_in1k_sample": sample})
    assert [(entry.figure, entry.verdict) for entry in entries] == [
        ("params", "not published"),
        ("flops", "not published"),
    ]
    assert all(entry.ours is not None and entry.published is None for entry in entries)
    assert [line[0] for line in make_table(entries)[1:]] == ["-", "-"]


def test_what_cannot_be_counted_fails_where_a_figure_is_published(tmp_path: Path) -> None:
    (row,) = rows_of("architectures", "b0")
    path = tmp_path / "classification" / "van_t_in1k.py"
    path.parent.mkdir()
    path.write_text(
        "default_scope = 'mmdet'\n"
        "model = dict(type='tests.leaderboard.test_complexity.LooksAtValues')\n"
    )
    wrong = replace(row, figures={"flops": Decimal("0.9")})
    (entry,) = audit([wrong], {"van_t_in1k": path})
    assert entry.verdict == "NOT COUNTED"
    assert "depend on more than shapes" in entry.note


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "van_t_in1k.py"
    path.write_text("model = dict(")
    with pytest.raises(ConfigError, match=r"van_t_in1k\.py cannot be read"):
        audit(rows_of("architectures", "b0"), {"van_t_in1k": path})
