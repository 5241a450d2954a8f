"""Curves of losses and metrics, from the log that MMEngine's LocalVisBackend writes."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Curve = list[tuple[int, float]]
# What a training step logs besides its losses, and what only measures the machine.
NOT_PLOTTED = ("epoch", "iter", "step", "time", "data_time", "memory")


def read_log(work_dir: Path) -> dict[str, Curve]:
    """Read every scalar of the newest run in a work directory.

    Args:
        work_dir: The work directory of a training.

    Returns:
        For each name, the logged (step, value) pairs. Steps are iterations for what training
        steps log, and epochs or iterations, as the training loop counts, for metrics.

    Raises:
        FileNotFoundError: If no run in the directory has logged anything.
    """
    logs = sorted(Path(work_dir).glob("*/vis_data/scalars.json"))
    if not logs:
        raise FileNotFoundError(
            f"{work_dir} has no */vis_data/scalars.json: is it the work directory of a training "
            "whose visualizer has a LocalVisBackend?"
        )
    curves: dict[str, Curve] = {}
    for line in logs[-1].read_text().splitlines():
        entry = json.loads(line)
        for name, value in entry.items():
            if name not in NOT_PLOTTED and isinstance(value, (int, float)):
                curves.setdefault(name, []).append((entry["step"], value))
    return curves


def plot_curves(logs: Mapping[str, Mapping[str, Curve]], out: Path) -> None:
    """Plot one row per training: total loss on the left, evaluation metrics on the right.

    Args:
        logs: For each title, what :func:`read_log` returned.
        out: The image to write; its ending chooses the format.
    """
    figure = Figure(figsize=(11, 3.2 * len(logs)), layout="constrained")
    rows = figure.subplots(len(logs), 2, squeeze=False)
    for (title, curves), (left, right) in zip(logs.items(), rows, strict=True):
        _draw(left, {"loss": curves.get("loss", [])}, f"{title}: training loss", "iteration")
        _draw(right, _metrics(curves), f"{title}: evaluation", "step")
    figure.savefig(out, dpi=110)


def _metrics(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Metrics have a library's prefix or a known name; those of one object size are left out."""
    known = ("mIoU", "aAcc", "mAcc")
    by_size = ("_s", "_m", "_l")
    return {
        name: curve
        for name, curve in curves.items()
        if name in known or ("/" in name and not name.endswith(by_size))
    }


def _draw(axes: Axes, curves: Mapping[str, Curve], title: str, x: str) -> None:
    for name, curve in curves.items():
        steps, values = [step for step, _ in curve], [value for _, value in curve]
        axes.plot(steps, values, marker="." if len(curve) < 30 else "", label=name)
    axes.set(title=title, xlabel=x)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(fontsize="small")
