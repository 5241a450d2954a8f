"""What the tables say about each goal."""

from dataclasses import replace

import pytest
from goals import GOALS, TOLERANCES, Found, find, is_ours, is_right, reached
from table import Conditions, Measurement, Table

CONDITIONS = Conditions("cpu", "A processor", 2, "torch 2", "2026-01-02", "")
ROW = Measurement(
    suite="inference",
    case="VAN-B0, batch 8",
    arch="b0",
    batch=8,
    size=224,
    form="mmpretrain eager",
    dtype="float32",
    layout="contiguous",
    metric="time",
    unit="ms",
    median=200.0,
    p20=190.0,
    p80=210.0,
    repeats=9,
    ratio=1.0,
    difference=0.0,
)


def row(form: str, median: float, dtype: str = "float32", difference: float = 1e-6) -> Measurement:
    ratio = ROW.median / median
    return replace(ROW, form=form, median=median, dtype=dtype, ratio=ratio, difference=difference)


def inference_of(*rows: Measurement) -> list[Found | None]:
    """What is found of the four inference goals of B0: two in float32, two in less."""
    tables = {("inference", "cpu"): Table(CONDITIONS, [ROW, *rows])}
    goals = [
        goal
        for goal in GOALS
        if (goal.suite, goal.device) == ("inference", "cpu") and "VAN-B0" in goal.text
    ]
    assert len(goals) == 4
    return [find(goal, tables) for goal in goals]


def test_the_goals_of_each_device() -> None:
    devices = [goal.device for goal in GOALS]
    assert [devices.count(device) for device in ("cpu", "cpu-avx2", "cuda")] == [12, 3, 4]
    assert len({(goal.device, goal.text) for goal in GOALS}) == 19


def test_the_goals_with_avx2_alone_are_read_from_its_own_table() -> None:
    rows = [ROW, row("mmpretrain OpenVINO", 90.0), row("folded OpenVINO", 80.0)]
    goals = [goal for goal in GOALS if goal.device == "cpu-avx2"]
    found = [find(goal, {("inference", "cpu-avx2"): Table(CONDITIONS, rows)}) for goal in goals]
    assert found == [
        Found(2.5, "folded OpenVINO, float32"),
        Found(1.125, "folded OpenVINO beside mmpretrain OpenVINO"),
        None,
    ]
    assert [goal.target for goal in goals] == [2.2, 1.0, 1.6]


def test_the_fastest_of_our_forms_counts_in_its_precision() -> None:
    speed, beside, reduced, beside_reduced = inference_of(
        row("mmpretrain OpenVINO", 80.0),
        row("mmpretrain OpenVINO default", 60.0, "bfloat16"),
        row("ours eager", 100.0),
        row("folded OpenVINO", 50.0),
        row("folded OpenVINO int8", 25.0, "int8", 0.05),
    )
    assert speed == Found(4.0, "folded OpenVINO, float32")
    assert beside == Found(1.6, "folded OpenVINO beside mmpretrain OpenVINO")
    assert reduced == Found(8.0, "folded OpenVINO int8, int8")
    assert beside_reduced == Found(2.4, "folded OpenVINO int8 beside mmpretrain OpenVINO default")


def test_a_fast_form_with_other_numbers_counts_for_nothing() -> None:
    wrong = row("folded OpenVINO", 1.0, difference=2 * TOLERANCES["float32"])
    assert not is_right(wrong)
    speed, beside, reduced, _ = inference_of(wrong, row("ours eager", 100.0))
    assert speed == Found(2.0, "ours eager, float32")
    assert beside == Found(2.0, "ours eager beside mmpretrain eager")
    assert reduced is None


def test_what_was_not_measured_is_none() -> None:
    assert [find(goal, {}) for goal in GOALS] == [None] * len(GOALS)


@pytest.mark.parametrize(
    ("value", "at_least", "at_most"), ((0.9, False, True), (1.0, True, True), (1.1, True, False))
)
def test_more_or_less_is_better(value: float, at_least: bool, at_most: bool) -> None:
    goal = replace(GOALS[0], target=1.0)
    assert reached(goal, Found(value, "")) is at_least
    assert reached(replace(goal, at_most=True), Found(value, "")) is at_most


def test_whose_a_form_is() -> None:
    forms = ("mmpretrain eager", "ours eager", "folded OpenVINO", "mmvan", "published")
    assert [is_ours(replace(ROW, form=form)) for form in forms] == [False, True, True, True, False]
