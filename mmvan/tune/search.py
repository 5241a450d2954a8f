"""Choosing among candidates that a child process measures, whatever becomes of that process."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mmvan.ops.backends import GPU_BACKENDS
from mmvan.ops.choice import Choice
from mmvan.tune.measure import Finding, plain
from mmvan.tune.workload import Workload

# A gain below this is noise: plain PyTorch remains.
MARGIN = 1.03
CHILD = (sys.executable, "-m", "mmvan.tune.child")
# What a candidate may take besides being timed: Triton compiles its kernels.
HANG_SECONDS = 20.0

Report = Callable[[Choice, Finding], None]


@dataclass(frozen=True)
class Outcome:
    """What a search ends with.

    Args:
        choice: The fastest, or plain PyTorch where nothing is faster.
        gain: How many times as fast as plain PyTorch.
        complete: Whether every candidate was tried.
    """

    choice: Choice
    gain: float
    complete: bool


def candidates(workload: Workload) -> list[Choice]:
    """Every backend that the device has, in every layout that may be chosen, the likely first."""
    own = ("native", "phase_split") if workload.device == "cpu" else GPU_BACKENDS
    layouts = sorted(workload.layouts, reverse=True)
    found = [Choice(backend, layout) for layout in layouts for backend in (*own, "torch")]
    return [candidate for candidate in found if candidate != plain(workload)]


def search(
    workload: Workload, budget: float, report: Report, command: Sequence[str] = CHILD
) -> Outcome:
    """Find the fastest candidate that computes what plain PyTorch computes.

    A candidate that crashes or hangs ends its process alone; another process goes on with the rest.

    Args:
        workload: What to measure.
        budget: Seconds for everything.
        report: Is told what became of each candidate that was tried.
        command: What to start instead of this package's own child process.
    """
    end = time.monotonic() + budget
    waiting = candidates(workload)
    # Half of the budget is for importing, comparing and the last turn of each.
    seconds = budget / 2 / len(waiting)
    best, gain = plain(workload), 1.0
    while waiting:
        before = len(waiting)
        for candidate, finding in _run_child(command, _task(workload, waiting, seconds), end):
            waiting.remove(candidate)
            report(candidate, finding)
            if not finding.fault and finding.gain > max(gain, MARGIN):
                best, gain = candidate, finding.gain
        if len(waiting) == before:  # It did not come to the first of them.
            break
    return Outcome(best, gain, complete=not waiting)


def _task(workload: Workload, waiting: Sequence[Choice], seconds: float) -> dict[str, Any]:
    return {
        "workload": asdict(workload),
        "candidates": [asdict(candidate) for candidate in waiting],
        "seconds": seconds,
        "threads": torch.get_num_threads(),
    }


def _run_child(
    command: Sequence[str], task: dict[str, Any], end: float
) -> Iterator[tuple[Choice, Finding]]:
    """Yield what one child finds, until it is through, dies, or hangs, or time is up."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_talk, args=(process, json.dumps(task), lines), daemon=True).start()
    try:
        if not _next(lines, end - time.monotonic()):
            return  # It never got ready.
        for values in task["candidates"]:
            finding = _finding(process, lines, task["seconds"] + HANG_SECONDS, end)
            if finding is None:
                return
            yield Choice(**values), finding
            if finding.fault.startswith((_HUNG, _CRASHED)):
                return
    finally:
        process.kill()
        process.wait()


_HUNG, _CRASHED = "hung", "crashed"


def _finding(
    process: "subprocess.Popen[str]", lines: "queue.Queue[str]", limit: float, end: float
) -> Finding | None:
    """What became of the candidate at hand; None if time is up."""
    left = end - time.monotonic()
    line = _next(lines, min(left, limit))
    if line is None:
        return None if left < limit else Finding(0.0, f"{_HUNG} for {limit:.0f} s")
    if not line:
        return Finding(0.0, f"{_CRASHED} ({_cause(process.wait())})")
    return Finding(**json.loads(line))


def _next(lines: "queue.Queue[str]", seconds: float) -> str | None:
    """The child's next line; empty if it has ended, None if it says nothing for so long."""
    try:
        return lines.get(timeout=max(seconds, 0.0))
    except queue.Empty:
        return None


def _talk(process: Any, task: str, lines: "queue.Queue[str]") -> None:
    with contextlib.suppress(BrokenPipeError):  # It died before it read.
        process.stdin.write(task)
        process.stdin.close()
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _cause(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
