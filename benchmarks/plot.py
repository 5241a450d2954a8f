"""The images of the report: accuracy against throughput, and the goals."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from goals import GOALS, Found, Goal, Tables, fastest, find, is_ours, reached
from inference import PUBLISHED, SUITE, TIME
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import ScalarFormatter
from networks import OTHERS
from table import Conditions, Measurement

_DPI = 110
_BLUE, _ORANGE, _GREY, _GREEN = "#1f5fa8", "#c8611a", "#777777", "#2b8a4b"
_LONGEST = 2  # Bars end here, or one goal passed by far would make the others unreadable.
# Of each network: images per second and published top-1 in %.
Points = Mapping[str, tuple[float, float]]


def draw_accuracy(tables: Tables, device: str, out: Path) -> None:
    """Published accuracy over measured throughput of float32 (on a GPU: AMP bfloat16)."""
    table = tables[SUITE, device]
    batch = max(row.batch for row in table.rows)
    rows = [row for row in table.rows if row.batch == batch]
    figure, axes = _start("Published accuracy against measured throughput", table.conditions, 6.4)
    for label, style, colour, chosen in (
        ("VAN in mmpretrain, eager", "o--", _GREY, _eager),
        ("VAN in mmpretrain, fastest form or runtime", "s--", _GREY, _peers),
        ("VAN in mmvan, fastest form or runtime", "o-", _BLUE, is_ours),
    ):
        points = _points([row for row in rows if row.arch not in OTHERS and chosen(row)], rows)
        axes.plot(*_coordinates(points), style, color=colour, label=label, markersize=7)
        if chosen is is_ours:
            _name(axes, {f"VAN-{arch.upper()}": point for arch, point in points.items()}, colour)
    _draw_others(axes, [row for row in rows if row.arch in OTHERS], rows)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(ScalarFormatter())
    axes.tick_params(axis="x", which="minor", labelsize="x-small")
    axes.margins(x=0.08)
    axes.set(
        xlabel=f"images per second, 224 x 224, batch {batch}, {_dtype(device)} (log scale)",
        ylabel="published top-1 on ImageNet-1k (%)",
    )
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(out, dpi=_DPI)


def draw_goals(tables: Tables, device: str, out: Path) -> None:
    """How far each goal of a device is reached: 1 is the goal, more is better."""
    pairs = [(goal, find(goal, tables)) for goal in GOALS if goal.device == device]
    found = [(goal, value) for goal, value in pairs if value]
    conditions = next(table.conditions for key, table in tables.items() if key[1] == device)
    figure, axes = _start("How far the goals are reached", conditions, 1.6 + 0.42 * len(found))
    bars = axes.barh(
        [goal.label for goal, _ in found],
        [min(_share(goal, value), _LONGEST) for goal, value in found],
        color=[_GREEN if reached(goal, value) else _ORANGE for goal, value in found],
    )
    texts = [
        f"{value.value:.3g}, wanted {'<=' if goal.at_most else '>='} {goal.target:g}"
        for goal, value in found
    ]
    for bar, text in zip(bars, texts, strict=True):
        beside = max(bar.get_width(), 1) + 0.03  # Not across the line of the goal.
        middle = bar.get_y() + bar.get_height() / 2
        axes.text(beside, middle, text, va="center", fontsize="small")
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set(xlim=(0, _LONGEST + 1), xlabel=f"share of the goal, cut at {_LONGEST}")
    figure.savefig(out, dpi=_DPI)


def _start(title: str, conditions: Conditions, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.5, height), layout="constrained")
    figure.suptitle(f"{title}\n{_machine(conditions)}", fontsize="medium")
    return figure, figure.subplots()


def _dtype(device: str) -> str:
    return "AMP bfloat16" if device == "cuda" else "float32"


def _share(goal: Goal, found: Found) -> float:
    return goal.target / found.value if goal.at_most else found.value / goal.target


def _eager(row: Measurement) -> bool:
    return row.form == "mmpretrain eager"


def _peers(row: Measurement) -> bool:
    return not is_ours(row)


def _points(chosen: Sequence[Measurement], rows: Sequence[Measurement]) -> Points:
    """The fastest of the chosen forms of each network, without those of reduced accuracy."""
    top1 = {row.arch: row.median for row in rows if row.metric == PUBLISHED}
    timed = [row for row in chosen if row.metric == TIME and _keeps_accuracy(row)]
    best = {arch: fastest([row for row in timed if row.arch == arch]) for arch in top1}
    points = {arch: (1e3 * row.batch / row.median, top1[arch]) for arch, row in best.items() if row}
    return dict(sorted(points.items(), key=lambda item: item[1][1]))


def _keeps_accuracy(row: Measurement) -> bool:
    """The published figures are those of float32; AMP bfloat16 evaluates as well."""
    return row.dtype == "float32" or row.layout != "own"


def _coordinates(points: Points) -> tuple[Sequence[float], Sequence[float]]:
    return [x for x, _ in points.values()], [y for _, y in points.values()]


def _draw_others(axes: Axes, others: Sequence[Measurement], rows: Sequence[Measurement]) -> None:
    """The other networks: from eager to their fastest form."""
    eager, best = (_points([row for row in others if form(row)], rows) for form in (_eager, _peers))
    for name, (x, y) in best.items():
        axes.plot([eager[name][0], x], [y, y], "-", color=_ORANGE, linewidth=1)
    axes.plot(*_coordinates(eager), "^", color=_ORANGE, markerfacecolor="white", markersize=8)
    label = "other networks in mmpretrain: eager (empty), fastest (full)"
    axes.plot(*_coordinates(best), "^", color=_ORANGE, markersize=8, label=label)
    _name(axes, best, _ORANGE)


def _name(axes: Axes, points: Points, colour: str) -> None:
    for name, point in points.items():
        axes.annotate(
            name,
            point,
            xytext=(6, 7),
            textcoords="offset points",
            color=colour,
            fontsize="small",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _machine(conditions: Conditions) -> str:
    versions = dict(pair.split(" ", 1) for pair in conditions.versions.split(", "))
    named = (f"{name} {versions[name]}" for name in _NAMED if name in versions)
    return f"{conditions.machine}, {conditions.threads} threads; {', '.join(named)}"


_NAMED = ("torch", "mmpretrain", "onnxruntime", "openvino")
IMAGES: Mapping[str, Callable[[Tables, str, Path], None]] = {
    "accuracy": draw_accuracy,
    "goals": draw_goals,
}
