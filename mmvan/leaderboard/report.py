"""The report of a reproduction: ours beside every published score."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mmvan.leaderboard.evaluate import Record
from mmvan.leaderboard.plan import METRICS, Evaluation, Target
from mmvan.leaderboard.table import Table

Verdict = Literal["within", "OUT OF TOLERANCE", "FAILED", "subset", "train"]
FAILURES: tuple[Verdict, ...] = ("OUT OF TOLERANCE", "FAILED")


@dataclass(frozen=True)
class Outcome:
    """What became of an evaluation.

    Args:
        evaluation: The evaluation.
        record: What it measured; None if it was not done.
        problem: Why it failed, or empty.
    """

    evaluation: Evaluation
    record: Record | None
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """One published score in the report.

    Args:
        outcome: Its evaluation.
        target: The score.
        ours: Our score, in %; None where there is none.
        verdict: What follows.
    """

    outcome: Outcome
    target: Target
    ours: float | None
    verdict: Verdict


def compare(outcomes: Sequence[Outcome], tolerance: float, *, subset: bool) -> list[Row]:
    """Set what was measured beside what was published.

    Args:
        outcomes: All evaluations.
        tolerance: How far ours may be from the published score, in percentage points.
        subset: Whether only some images were looked at, which makes no score comparable.
    """
    return [
        _row(outcome, target, tolerance, subset)
        for outcome in outcomes
        for target in outcome.evaluation.targets
    ]


def _row(outcome: Outcome, target: Target, tolerance: float, subset: bool) -> Row:
    if outcome.record is None:
        return Row(outcome, target, None, "FAILED" if outcome.problem else "train")
    metric, per_cent = METRICS[target.metric]
    if metric not in outcome.record.metrics:
        return Row(outcome, target, None, "FAILED")
    ours = outcome.record.metrics[metric] * per_cent
    if subset:
        return Row(outcome, target, ours, "subset")
    # A hundredth of a point is less than any library prints.
    within = abs(ours - target.published) <= tolerance + 0.005
    return Row(outcome, target, ours, "within" if within else "OUT OF TOLERANCE")


def make_table(rows: Sequence[Row]) -> Table:
    """The rows as text."""
    header = ("model", "setting", "metric", "source", "published", "ours", "difference", "verdict")
    return [(*header, "weights", "SHA-256", "seconds", "note"), *map(_line, rows)]


def summarise(rows: Sequence[Row]) -> str:
    """One line with the number of scores of each verdict."""
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in get_args(Verdict))


def _line(row: Row) -> tuple[str, ...]:
    evaluation, record = row.outcome.evaluation, row.outcome.record
    published = f"{row.target.published:g}"
    return (
        evaluation.model.name,
        "multi-scale + flip" if evaluation.multi_scale else "single scale",
        row.target.metric,
        row.target.source,
        published,
        "-" if row.ours is None else f"{row.ours:.2f}",
        "-" if row.ours is None else f"{row.ours - row.target.published:+.2f}",
        row.verdict,
        record.weights if record else "-",
        record.weights_sha256[:8] if record else "-",
        f"{record.seconds:g}" if record else "-",
        _note(row),
    )


def _note(row: Row) -> str:
    model = row.outcome.evaluation.model
    if row.verdict == "train":
        return f"no public weights: tools/dist_train.sh {model.config} 8"
    if row.verdict == "FAILED":
        metric = METRICS[row.target.metric][0]
        return row.outcome.problem or f"the evaluator gave no {metric}"
    return (model.weights.doubt or "") if model.weights else ""
