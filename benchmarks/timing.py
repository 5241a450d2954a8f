"""Times of forms that take turns, so that all of them see the same machine."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Step = Callable[[], Any]
# The worker threads of most runtimes spin for a few milliseconds before they sleep: a step that
# begins at once would share the cores with those of the step before.
_PAUSE = 0.01  # Seconds.
_LEAST_TURNS = 3  # However late it is: of fewer there is no spread.
_SILENCE = 5.0  # Seconds after which a turn is worth a line.


@dataclass(frozen=True)
class Spread:
    """Repeated values of one quantity: median, 20th and 80th percentile, and their number."""

    median: float
    p20: float
    p80: float
    repeats: int


def spread(values: Sequence[float]) -> Spread:
    """Summarise repeated values, of which there must be one at least."""
    p20, median, p80 = np.percentile(values, (20, 50, 80))
    return Spread(float(median), float(p20), float(p80), len(values))


def say(text: str) -> None:
    """Tell what is being done, on the standard error."""
    print(text, file=sys.stderr, flush=True)


def turns(repeats: int, end: float = math.inf) -> Iterator[int]:
    """The numbers of the turns; tells now and then which one it is.

    Args:
        repeats: How many there are, when there is time.
        end: When to stop, by ``time.perf_counter()``, but not before the third.
    """
    told = time.perf_counter()
    for turn in range(repeats):
        now = time.perf_counter()
        if turn >= _LEAST_TURNS and now >= end:
            say(f"    {turn} turns instead of {repeats}: the time is up")
            return
        if now - told >= _SILENCE:
            say(f"    turn {turn + 1} of {repeats}")
            told = now
        yield turn


def take_turns(
    steps: Mapping[str, Step], repeats: int, device: str, end: float = math.inf
) -> dict[str, Spread]:
    """Milliseconds of each step.

    Each step runs twice unmeasured: compilers compile in the first run and settle in the second.
    Then each turn goes once through all of them. Arguments are those of :func:`turns` too.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
        step()
    for _ in turns(repeats, end):
        for name, step in steps.items():
            time.sleep(_PAUSE)
            times[name].append(measure_once(step, device))
    return {name: spread(values) for name, values in times.items()}


def measure_once(step: Step, device: str) -> float:
    """Milliseconds of one run; on a GPU by its own clock, from an idle start to the last kernel."""
    if device == "cuda":
        return _measure_on_gpu(step)
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


def _measure_on_gpu(step: Step) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def relative_difference(result: Tensor, expected: Tensor) -> float:
    """The largest difference of two results, relative to the largest expected value."""
    return float((result - expected).abs().max() / expected.abs().max())
