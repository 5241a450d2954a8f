"""Turns, summaries, differences, and what there is no time for."""

import math
import time

import pytest
import torch
from settings import Settings
from timing import Spread, relative_difference, spread, take_turns, turns

from mmvan.errors import ConfigError

FORMS = ["plain", "folded eager", "folded compile"]


def test_the_steps_take_turns_after_two_unmeasured_runs_each() -> None:
    calls: list[str] = []
    times = take_turns({name: lambda name=name: calls.append(name) for name in "ab"}, 3, "cpu")
    assert "".join(calls) == "aabb" + "ab" * 3
    assert [times[name].repeats for name in "ab"] == [3, 3]
    assert all(0 <= time.p20 <= time.median <= time.p80 for time in times.values())


def test_median_and_percentiles() -> None:
    assert spread([5.0, 1.0, 4.0, 2.0, 3.0, 6.0]) == Spread(3.5, 2.0, 5.0, 6)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0, 1)


def test_a_difference_is_relative_to_the_largest_value() -> None:
    expected = torch.tensor([1.0, -8.0])
    assert relative_difference(torch.tensor([1.5, -8.0]), expected) == 0.5 / 8


def test_all_forms_are_chosen_and_the_repeats_of_the_suite() -> None:
    settings = Settings("cpu", 1)
    assert settings.choose(FORMS, "plain") == FORMS
    assert settings.repeat(9) == 9


def test_a_pattern_chooses_forms_and_keeps_the_baseline() -> None:
    settings = Settings("cpu", 1, repeats=4, only=["*eager"])
    assert settings.choose(FORMS, "plain") == ["plain", "folded eager"]
    assert settings.repeat(9) == 4


def test_quick_measures_once() -> None:
    assert Settings("cpu", 1, quick=True).repeat(9) == 1


def test_a_pattern_without_a_form_is_named_with_those_there_are() -> None:
    settings = Settings("cpu", 1, only=["folded eagr"])
    with pytest.raises(ConfigError, match=r"--only 'folded eagr' names no form\. Did you mean"):
        settings.choose(FORMS, "plain")


def test_forms_that_no_table_can_have_are_left_out_but_the_baseline() -> None:
    settings = Settings("cpu", 1, without=["*compile", "plain"])
    assert settings.choose(FORMS, "plain") == ["plain", "folded eager"]


def test_repeats_end_with_the_time_but_not_before_the_third(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(turns(9, end=time.perf_counter())) == [0, 1, 2]
    assert capsys.readouterr().err == "    3 turns instead of 9: the time is up\n"
    assert list(turns(2, end=time.perf_counter())) == [0, 1]
    assert list(turns(9)) == [*range(9)]
    assert capsys.readouterr().err == ""
    times = take_turns({"a": lambda: None}, 9, "cpu", end=time.perf_counter())
    assert times["a"].repeats == 3


def test_each_case_is_told_and_has_its_share_of_the_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = time.perf_counter()
    settings = Settings("cpu", 1, end=start + 100)
    costs = {"small": 1.0, "large": 3.0}
    ends = {case: mine.end - start for case, mine in settings.share(list(costs), costs.__getitem__)}
    assert ends == {"small": pytest.approx(25, abs=5), "large": pytest.approx(100)}
    assert capsys.readouterr().err == "  small (1 of 2)\n  large (2 of 2)\n"
    assert settings.left_out == []


def test_without_a_limit_every_case_is_measured() -> None:
    settings = Settings("cpu", 1)
    assert [mine.end for _, mine in settings.share("abc")] == [math.inf] * 3


def test_cases_beyond_the_time_are_named_and_the_first_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings("cpu", 1, end=time.perf_counter())
    assert [case for case, _ in settings.share(["a", "b", "c"])] == ["a"]
    assert settings.left_out == ["b", "c"]
    assert capsys.readouterr().err.endswith("left out, because the time is up: b, c\n")


def test_forms_that_are_compiled_start_last_and_are_left_out_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    forms = ["plain", "x compile", "x eager"]
    settings = Settings("cpu", 1)
    assert list(settings.in_time(forms, "a case")) == ["plain", "x eager", "x compile"]
    assert "    compiling x compile\n    measuring 3 forms" in capsys.readouterr().err
    ((_, of_case),) = Settings("cpu", 1, end=time.perf_counter()).share(["a case"])
    assert list(of_case.in_time(forms, "a case")) == ["plain"]
    assert of_case.left_out == ["a case: x eager", "a case: x compile"]
