"""Times of forms that take turns, so that all of them see the same machine."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Step = Callable[[], Any]
# The worker threads of most runtimes spin for a few milliseconds before they sleep: a step that
# begins at once would share the cores with those of the step before.
_PAUSE = 0.01  # Seconds.


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


def take_turns(steps: Mapping[str, Step], repeats: int, device: str) -> dict[str, Spread]:
    """Milliseconds of each step.

    Each step runs twice unmeasured: compilers compile in the first run and settle in the second.
    Then each turn goes once through all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
        step()
    for _ in range(repeats):
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
