"""What is wrong with data, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from mmvan.errors import DataError

__all__ = ["Problem", "listed", "raise_if_any", "similar"]

MAX_PROBLEMS = 20
MAX_ITEMS = 20
MAX_NAMES = 5


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        key: Where the config says so, as a path of keys.
        value: What it says there: a file, a directory, a number.
        found: What is there.
        expected: What should be there.
        fix: What to do.
        items: All that `found` counts, such as the missing files.
    """

    key: str
    value: str
    found: str
    expected: str
    fix: str
    items: tuple[str, ...] = ()


def listed(names: Iterable[object], limit: int = MAX_NAMES) -> str:
    """Names the first few of many things, and says how many are left out."""
    words = [str(name) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def similar(name: str, candidates: Iterable[str]) -> str:
    """Returns the candidates close to a mistyped name, or some of them where none is close."""
    candidates = list(candidates)
    return listed(get_close_matches(name, candidates, cutoff=0.6) or candidates)


def _text(number: int, problem: Problem, keys: list[str]) -> str:
    items = f": {listed(problem.items, MAX_ITEMS)}" if problem.items else ""
    return (
        f"{number}. {', '.join(keys)}: {problem.value}\n"
        f"   found:    {problem.found}{items}\n"
        f"   expected: {problem.expected}\n"
        f"   to do:    {problem.fix}"
    )


def raise_if_any(problems: Iterable[Problem], data: str = "the data that the config names") -> None:
    """Reports all problems at once.

    Args:
        problems: What was found; problems that differ in their key only are told once.
        data: What was looked at, for the message.

    Raises:
        DataError: If there is any. The message holds the first ``MAX_PROBLEMS`` and their number,
            and of each the first ``MAX_ITEMS`` items.
    """
    keys: dict[Problem, list[str]] = {}
    for problem in problems:
        same = replace(problem, key="")
        keys.setdefault(same, []).append(problem.key)
    if not keys:
        return
    count = f"{len(keys)} problem{'s' if len(keys) > 1 else ''}"
    shown = f" (the first {MAX_PROBLEMS} of them)" if len(keys) > MAX_PROBLEMS else ""
    texts = [
        _text(number, problem, where)
        for number, (problem, where) in enumerate(list(keys.items())[:MAX_PROBLEMS], 1)
    ]
    raise DataError("\n".join([f"{count} with {data}{shown}:", *texts]))
