"""Comparing and timing candidates, in the process that may crash by it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from mmvan.ops.backends import use_backend
from mmvan.ops.choice import Choice
from mmvan.tune.workload import Workload, make_parts, run_part

# Largest difference that rounding explains, relative to the largest value. The gradients of weights
# sum over a whole map: half-precision types keep 8 to 11 bits of each term.
TOLERANCES = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 6e-2}
TURNS = 12

Clock = Callable[[], float]


@dataclass(frozen=True)
class Finding:
    """What became of a candidate.

    Args:
        gain: How many times as fast as plain PyTorch; 0 if it was refused before it was timed.
        fault: Why it is refused; empty if it computes the same.
    """

    gain: float
    fault: str = ""

    def __str__(self) -> str:
        return f"refused, it {self.fault}" if self.fault else f"{self.gain:.2f} x plain PyTorch"


def plain(workload: Workload) -> Choice:
    """Plain PyTorch, contiguous unless the config leaves no choice of layout."""
    return Choice("torch", False not in workload.layouts)


class Bench:
    """The parts of a workload, and what plain PyTorch computes with them.

    Args:
        workload: What to measure.
        clock: Tells the time in seconds, when everything begun is done.
    """

    def __init__(self, workload: Workload, clock: Clock | None = None) -> None:
        self.workload = workload
        self.clock = clock or device_clock(workload.device)
        torch.manual_seed(0)
        self.parts = make_parts(workload)
        drawn = [torch.randn(part.shape, device=workload.device) for part in self.parts]
        # The image comes contiguous; every other part gets what the one before it made.
        self.inputs = {
            False: drawn,
            True: [drawn[0], *(x.contiguous(memory_format=torch.channels_last) for x in drawn[1:])],
        }
        self.cotangents = [
            torch.randn(part.out_shape, device=workload.device) for part in self.parts
        ]
        self.plain = plain(workload)
        self.expected = [self._compute(i, self.plain) for i in range(len(self.parts))]

    def measure(self, candidate: Choice, seconds: float) -> Finding:
        """Compare a candidate with plain PyTorch, and time the two in turns.

        Args:
            candidate: The candidate.
            seconds: How long to go on, after two turns at least.
        """
        fault = self._difference(candidate)
        if fault:
            return Finding(0.0, fault)
        end = self.clock() + seconds
        ratios: list[float] = []
        while len(ratios) < 2 or (len(ratios) < TURNS and self.clock() < end):
            ratios.append(self._seconds(self.plain) / max(self._seconds(candidate), 1e-9))
        return Finding(median(ratios))

    def _difference(self, candidate: Choice) -> str:
        tolerance = TOLERANCES[self.workload.dtype]
        for i, part in enumerate(self.parts):
            out, *gradients = zip(self._compute(i, candidate), self.expected[i], strict=True)
            # That of a bias before BatchNorm is nothing but rounding: its scale is the others'.
            for error in (_relative_error([out]), _relative_error(gradients)):
                if not error <= tolerance:  # Also where it is not a number.
                    name = type(part.module).__name__
                    return f"differs from plain PyTorch by {error:.1e} in {name}"
        return ""

    def _seconds(self, candidate: Choice) -> float:
        total = 0.0
        for i, part in enumerate(self.parts):
            start = self.clock()
            self._compute(i, candidate)
            total += part.count * (self.clock() - start)
        return total

    def _compute(self, i: int, candidate: Choice) -> list[Tensor]:
        x = self.inputs[candidate.channels_last][i]
        if candidate.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with use_backend(candidate.backend):
            return run_part(self.parts[i], x, self.cotangents[i], self.workload)


def _relative_error(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The largest difference in all pairs, relative to the largest expected value in them."""
    if not pairs:
        return 0.0
    errors = torch.stack([(found - right).abs().max().float() for found, right in pairs])
    scale = torch.stack([right.abs().max().float() for _, right in pairs]).max()
    return float(errors.max() / scale)  # Of these functions, none passes over what is no number.


def device_clock(device: str) -> Clock:
    """A clock that waits for the device."""
    if device == "cpu":
        return time.perf_counter
    wait: Any = getattr(torch, device).synchronize

    def clock() -> float:
        wait()
        return time.perf_counter()

    return clock
