"""What the project wants to reach, and what the tables say about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import inference
import instructions
import memory
import scaling
import startup
import training
from table import Measurement, Table

Tables = Mapping[tuple[str, str], Table]  # By suite and device.
# Largest relative difference of logits up to which a form computes the same network. Rounding of
# bfloat16 is 4e-3 per operation, of int8 the hundredth part of a tensor's range.
TOLERANCES = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.05, "int8": 0.2}
# What the bytes allow that a fused forward pass in bfloat16 has to move, on an H100 (3.0 TB/s).
_BYTE_LIMIT_B2 = 23_000  # Images per second.
_INFERENCE_CASES = ("VAN-B0, batch 8", "VAN-B2, batch 1")


@dataclass(frozen=True)
class Goal:
    """A figure to reach.

    Args:
        label: Its name in a few words.
        text: What is to be reached, without the figure.
        device: Where.
        suite: The table that it is read from.
        target: The figure.
        at_most: Whether less is better.
        find: The figure reached and how, or None where the table lacks it.
    """

    label: str
    text: str
    device: str
    suite: str
    target: float
    find: Callable[[Sequence[Measurement]], "Found | None"]
    at_most: bool = False


@dataclass(frozen=True)
class Found:
    """A figure that was reached, and the form that reached it."""

    value: float
    form: str


def is_right(row: Measurement) -> bool:
    """Whether a form computes what the baseline does, up to the rounding of its dtype."""
    return row.difference is None or row.difference <= TOLERANCES[row.dtype]


def reached(goal: Goal, found: Found) -> bool:
    """Whether a figure is as good as the goal."""
    return found.value <= goal.target if goal.at_most else found.value >= goal.target


def find(goal: Goal, tables: Tables) -> Found | None:
    """What was reached of a goal; None where it was not measured."""
    table = tables.get((goal.suite, goal.device))
    return goal.find(table.rows) if table else None


def is_ours(row: Measurement) -> bool:
    """Whether the form is one of this project's."""
    return row.form.startswith(("ours", "folded", "mmvan"))


def fastest(rows: Sequence[Measurement]) -> Measurement | None:
    """The fastest form that computes the right numbers."""
    return min(filter(is_right, rows), key=lambda row: row.median, default=None)


def _of(rows: Sequence[Measurement], case: str, metric: str) -> list[Measurement]:
    return [row for row in rows if (row.case, row.metric) == (case, metric)]


def _speedup(case: str, metric: str, reduced: bool | None) -> Callable[..., Found | None]:
    """Our best ratio to the baseline, in float32, in reduced precision, or (None) in any."""

    def find(rows: Sequence[Measurement]) -> Found | None:
        ours = [row for row in _of(rows, case, metric) if is_ours(row)]
        best = fastest([row for row in ours if reduced in (None, row.dtype != "float32")])
        return Found(best.ratio, f"{best.form}, {best.dtype}") if best and best.ratio else None

    return find


def _beside_best_peer(case: str, reduced: bool) -> Callable[..., Found | None]:
    """Our best time against the best of mmpretrain's network in any runtime."""

    def find(rows: Sequence[Measurement]) -> Found | None:
        rows = [
            row for row in _of(rows, case, inference.TIME) if (row.dtype != "float32") == reduced
        ]
        ours = fastest([row for row in rows if is_ours(row)])
        theirs = fastest([row for row in rows if not is_ours(row)])
        if not (ours and theirs):
            return None
        return Found(theirs.median / ours.median, f"{ours.form} beside {theirs.form}")

    return find


def _import(rows: Sequence[Measurement]) -> Found | None:
    metric = startup.METRICS[1]
    found = [row.median for row in rows if (row.form, row.metric) == ("mmvan", metric)]
    return Found(found[0], "mmvan") if found else None


def _linearity(rows: Sequence[Measurement]) -> Found | None:
    """Our fastest form's time per pixel at 2048 over that at 512."""
    times = {(row.form, row.size): row.median for row in rows if is_ours(row) and is_right(row)}
    forms = sorted({form for form, size in times if size == 2048}, key=lambda f: times[f, 2048])
    return Found(times[forms[0], 2048] / times[forms[0], 512], forms[0]) if forms else None


def _memory(case: str) -> Callable[..., Found | None]:
    """The least peak of our forms, as a share of the baseline's."""

    def find(rows: Sequence[Measurement]) -> Found | None:
        ours = [row for row in _of(rows, case, memory.PEAK) if is_ours(row) and row.ratio]
        best = min(ours, key=lambda row: row.median, default=None)
        return Found(1 / best.ratio, best.form) if best and best.ratio else None

    return find


def _share_of_byte_limit(rows: Sequence[Measurement]) -> Found | None:
    ours = [row for row in _of(rows, "VAN-B2, batch 128", inference.TIME) if is_ours(row)]
    best = fastest(ours)
    if best is None:
        return None
    return Found(best.batch / best.median * 1e3 / _BYTE_LIMIT_B2, best.form)


def _cpu_inference_goals() -> Iterator[Goal]:
    suite, metric = inference.SUITE, inference.TIME
    for (precision, target), case in product(
        (("float32", 3.5), ("reduced precision", 6.0)), _INFERENCE_CASES
    ):
        reduced = precision != "float32"
        text = f"inference in {precision}, {case}: times as fast as mmpretrain's VAN"
        beside = _beside_best_peer(case, reduced)
        yield Goal(
            f"{precision}, {case}",
            f"{text} eager",
            "cpu",
            suite,
            target,
            _speedup(case, metric, reduced),
        )
        yield Goal(
            f"{precision}, {case}, beside the best peer",
            f"{text} in its best runtime",
            "cpu",
            suite,
            1.0,
            beside,
        )


GOALS = (
    *_cpu_inference_goals(),
    Goal(
        "training step, VAN-B0, batch 8",
        "training step, VAN-B0, batch 8: times as fast as mmpretrain's VAN eager",
        "cpu",
        training.SUITE,
        2.0,
        _speedup("VAN-B0, batch 8", training.TIME, None),
    ),
    Goal(
        "training memory, VAN-B0, batch 8",
        "peak memory of a training step, VAN-B0: share of mmpretrain's VAN eager",
        "cpu",
        memory.SUITE,
        0.6,
        _memory("VAN-B0, batch 8"),
        at_most=True,
    ),
    Goal(
        "import (seconds)",
        "`import mmvan`: seconds beyond `import torch, mmengine`",
        "cpu",
        startup.SUITE,
        0.2,
        _import,
        at_most=True,
    ),
    Goal(
        "linear cost",
        "linear cost: time per pixel at 2048 x 2048 over that at 512 x 512",
        "cpu",
        scaling.SUITE,
        1.1,
        _linearity,
        at_most=True,
    ),
    Goal(
        "float32, VAN-B0, batch 8",
        "inference in float32, VAN-B0, batch 8: times as fast as mmpretrain's VAN eager",
        instructions.AVX2,
        inference.SUITE,
        2.2,
        _speedup("VAN-B0, batch 8", inference.TIME, False),
    ),
    Goal(
        "float32, VAN-B0, batch 8, beside the best peer",
        "inference in float32, VAN-B0, batch 8: times as fast as mmpretrain's VAN in its best "
        "runtime",
        instructions.AVX2,
        inference.SUITE,
        1.0,
        _beside_best_peer("VAN-B0, batch 8", False),
    ),
    Goal(
        "training step, VAN-B0, batch 8",
        "training step, VAN-B0, batch 8: times as fast as mmpretrain's VAN eager",
        instructions.AVX2,
        training.SUITE,
        1.6,
        _speedup("VAN-B0, batch 8", training.TIME, None),
    ),
    Goal(
        "inference, VAN-B2, batch 128",
        "inference, VAN-B2, batch 128: times as fast as mmpretrain's VAN eager in AMP bfloat16",
        "cuda",
        inference.SUITE,
        4.0,
        _speedup("VAN-B2, batch 128", inference.TIME, None),
    ),
    Goal(
        "byte limit, VAN-B2, batch 128",
        "inference, VAN-B2, batch 128: share of the 23,000 img/s that the bytes allow on an H100",
        "cuda",
        inference.SUITE,
        0.6,
        _share_of_byte_limit,
    ),
    Goal(
        "training step, VAN-B0, batch 128",
        "training step, VAN-B0, batch 128: times as fast as mmpretrain's VAN in AMP bfloat16",
        "cuda",
        training.SUITE,
        2.5,
        _speedup("VAN-B0, batch 128", training.TIME, None),
    ),
    Goal(
        "training memory, VAN-B0, batch 128",
        "peak memory of a training step, VAN-B0: share of mmpretrain's VAN eager",
        "cuda",
        memory.SUITE,
        0.6,
        _memory("VAN-B0, batch 128"),
        at_most=True,
    ),
)
