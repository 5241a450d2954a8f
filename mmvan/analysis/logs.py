"""Log curves of several runs beside each other."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvan.analysis.section import Section
from mmvan.errors import DataError
from mmvan.visualization.curves import Curve, read_log
from mmvan.visualization.figures import new_figure

_COLUMNS = 2


def smooth(curve: Curve, weight: float) -> Curve:
    """Exponential moving average without the pull of its start, as TensorBoard draws it.

    Args:
        curve: (step, value) pairs. Values that are not finite are left out of the average.
        weight: Of what came before, from 0 (no smoothing) to below 1.
    """
    average, total, smoothed = 0.0, 0.0, []
    for step, value in curve:
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            total = weight * total + (1 - weight)
        smoothed.append((step, average / total if total else value))
    return smoothed


def read_runs(work_dirs: list[Path]) -> dict[str, dict[str, Curve]]:
    """The curves of each run, under a name that tells it from the others.

    Raises:
        DataError: A directory has no log.
    """
    short = [path.resolve().name for path in work_dirs]
    names = short if len(set(short)) == len(short) else [str(path) for path in work_dirs]
    try:
        return {name: read_log(path) for name, path in zip(names, work_dirs, strict=True)}
    except FileNotFoundError as error:
        raise DataError(str(error)) from error


def logs_section(
    runs: Mapping[str, Mapping[str, Curve]], weight: float, names: list[str] | None = None
) -> Section:
    """One plot per logged name with a curve per run; the table sums up, the CSV has all values.

    Args:
        runs: From :func:`read_runs`.
        weight: Of :func:`smooth`, for what training steps log; metrics are drawn as they are.
        names: What is drawn; by default the loss, the learning rate and all metrics.

    Raises:
        DataError: Nothing is logged under a name.
    """
    known = list(dict.fromkeys(name for curves in runs.values() for name in curves))
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise DataError(f"--keys {unknown[0]}: not logged; there are {', '.join(known)}")
    drawn = names or [name for name in known if _is_main(name)]
    lines = -(-len(drawn) // _COLUMNS)
    note = f"curves of training steps smoothed by {weight:g} (not lr), the values themselves pale"
    figure, axes = new_figure(lines, _COLUMNS, "Training logs", note, (5.2, 2.9))
    for place in axes.flat[len(drawn) :]:
        place.set_axis_off()
    for name, place in zip(drawn, axes.flat, strict=False):
        for i, (run, curves) in enumerate(runs.items()):
            curve, colour = curves.get(name, []), f"C{i % 10}"
            steps = [step for step, _ in curve]
            values = [value for _, value in curve]
            if _is_metric(name) or not weight or "lr" in name:
                place.plot(steps, values, ".-", color=colour, label=run)
                continue
            place.plot(steps, values, color=colour, alpha=0.25)
            smoothed = [value for _, value in smooth(curve, weight)]
            place.plot(steps, smoothed, color=colour, label=run)
        place.set_title(name, fontsize="small")
        unit = "epoch or iteration" if _is_metric(name) else "iteration"
        place.set_xlabel(unit, fontsize="x-small")
        place.tick_params(labelsize="x-small")
        place.grid(alpha=0.3)
        place.legend(fontsize="x-small")
    text = f"Runs: {', '.join(runs)}; of each work directory the newest log."
    columns = ("run", "name", "last step", "last", "smallest", "largest")
    rows = [_summary(run, name, curves[name]) for run, curves in runs.items() for name in curves]
    full: list[Sequence[Any]] = [
        (run, name, step, value)
        for run, curves in runs.items()
        for name, curve in curves.items()
        for step, value in curve
    ]
    figures = [("Log curves", figure)]
    csv_columns = ("run", "name", "step", "value")
    return Section("logs", "Training logs", text, columns, rows, figures, (csv_columns, full))


def _summary(run: str, name: str, curve: Curve) -> Sequence[Any]:
    values = [value for _, value in curve]
    return run, name, curve[-1][0], values[-1], min(values), max(values)


def _is_main(name: str) -> bool:
    return name in ("loss", "lr") or _is_metric(name)


def _is_metric(name: str) -> bool:
    by_size = ("_s", "_m", "_l")
    metric = "/" in name or name in ("mIoU", "aAcc", "mAcc")
    return metric and not name.endswith(by_size)
