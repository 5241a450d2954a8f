"""Turns, summaries and differences."""

import pytest
import torch
from settings import Settings
from timing import Spread, relative_difference, spread, take_turns

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
