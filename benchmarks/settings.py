"""What the command line asks of every suite."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import TypeVar

from timing import say
from typing_extensions import Self

from mmvan.errors import ConfigError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: Threads of every form.
        repeats: How often each step is measured; None for the suite's own number.
        quick: Tiny networks and images: shows that everything runs, and measures nothing.
        only: Patterns of the forms to measure, as in ``folded*``; empty for all.
        without: Patterns of forms that cannot be measured as the table says.
        end: When to stop, by ``time.perf_counter()``.
        left_out: Collects what there was no time for.
    """

    device: str
    threads: int
    repeats: int | None = None
    quick: bool = False
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    end: float = math.inf
    left_out: list[str] = field(default_factory=list)

    def repeat(self, usual: int) -> int:
        """The number of repeats of a suite that usually takes ``usual``."""
        return self.repeats or (1 if self.quick else usual)

    def choose(self, forms: Sequence[str], baseline: str) -> list[str]:
        """The forms that were asked for, and the one that they are compared with.

        Raises:
            ConfigError: A pattern names none of the forms.
        """
        for pattern in self.only:
            if not any(fnmatch(form, pattern) for form in forms):
                raise ConfigError(
                    f"--only {pattern!r} names no form.{did_you_mean(pattern, forms)} "
                    f"The forms are: {', '.join(forms)}"
                )
        patterns = self.only or ("*",)
        asked = [
            form for form in forms if _matches(form, patterns) and not _matches(form, self.without)
        ]
        return asked if baseline in asked else [baseline, *asked]

    def share(
        self, cases: Sequence[T], cost: Callable[[T], float] = lambda _: 1.0
    ) -> Iterator[tuple[T, Self]]:
        """The cases, each with settings that end when its share of the time is used up.

        Tells which one is measured. The first is measured however late it is; those that there is
        no time for are left out.

        Args:
            cases: In the order of their importance; their text is their name.
            cost: Of a case, relative to the others.
        """
        costs = [cost(case) for case in cases]
        for i, case in enumerate(cases):
            now = time.perf_counter()
            if i and now >= self.end:
                return self._leave_out([f"{left}" for left in cases[i:]])
            say(f"  {case} ({i + 1} of {len(cases)})")
            time_left = max(0.0, self.end - now)
            yield case, replace(self, end=now + time_left * costs[i] / sum(costs[i:]))
        return None

    def in_time(self, forms: Sequence[str], case: object) -> Iterator[str]:
        """The forms of a case that there is time to start, the baseline first.

        Tells which one is started. Those that are compiled come last, because that takes longest.

        Args:
            forms: With the baseline as first.
            case: Whose text is its name.
        """
        ordered = sorted(forms, key=is_compiled)
        for i, form in enumerate(ordered):
            if i and time.perf_counter() >= self.end:
                return self._leave_out([f"{case}: {left}" for left in ordered[i:]])
            say(f"    {'compiling' if is_compiled(form) else 'starting'} {form}")
            yield form
        return say(f"    measuring {len(forms)} forms in turns")

    def _leave_out(self, names: Sequence[str]) -> None:
        self.left_out.extend(names)
        say(f"  left out, because the time is up: {', '.join(names)}")


def is_compiled(form: str) -> bool:
    """Whether a form takes a compiler, and with it about a minute to start."""
    return form.endswith("compile")


def _matches(form: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(form, pattern) for pattern in patterns)
