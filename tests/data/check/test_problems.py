"""The words of the report."""

from __future__ import annotations

import pytest

from mmvan.data.check.problems import Problem, listed, raise_if_any, similar
from mmvan.errors import DataError


def test_no_problem_no_error() -> None:
    assert raise_if_any([]) is None


def test_a_problem_is_told_with_all_its_parts() -> None:
    with pytest.raises(DataError) as caught:
        raise_if_any([Problem("a.b", "x/y", "nothing", "something", "do it")])
    assert str(caught.value) == (
        "1 problem with the data that the config names:\n"
        "1. a.b: x/y\n"
        "   found:    nothing\n"
        "   expected: something\n"
        "   to do:    do it"
    )


def test_items_are_listed_up_to_a_limit() -> None:
    items = tuple(f"{number}.jpg" for number in range(23))
    with pytest.raises(DataError) as caught:
        raise_if_any([Problem("a", "x", "23 missing", "all", "copy", items)], "what is here")
    text = str(caught.value)
    assert text.startswith("1 problem with what is here:\n")
    assert "23 missing: 0.jpg, 1.jpg, " in text
    assert text.count(".jpg") == 20
    assert ", 19.jpg and 3 more\n" in text


def test_long_lists_are_cut_with_a_count() -> None:
    assert listed(range(7)) == "0, 1, 2, 3, 4 and 2 more"
    assert listed(["a", "b"]) == "a, b"


def test_close_names_come_alone_and_all_names_else() -> None:
    assert similar("persn", ["person", "car"]) == "person"
    assert similar("zebra", ["person", "car"]) == "person, car"
