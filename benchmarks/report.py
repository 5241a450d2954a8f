"""README.md of the benchmarks, made from the tables."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from goals import GOALS, TOLERANCES, Found, Goal, Tables, find, is_right, reached
from inference import SUITE, TIME
from instructions import AVX2
from plot import IMAGES
from table import Measurement, Table, read_table

from mmvan.errors import DataError
from mmvan.leaderboard.table import to_markdown

PAGE = "README.md"
DEVICES = {"cpu": "CPU", AVX2: "CPU with AVX2 alone", "cuda": "GPU"}
_HEADINGS = {"cpu": "", AVX2: ", with AVX2 alone", "cuda": ", on a GPU"}
_INTRO = """\
# Benchmarks

Speed and memory of VAN on one machine: ours in all its forms beside mmpretrain's VAN, and beside
the networks that a user would take instead. This page is made from the CSV files beside it.

    python benchmarks/run.py all      # measures everything on this machine, 15 minutes at most
    python benchmarks/run.py report   # writes this page and the images

Instead of `all`, `run.py` takes one of `ops`, `inference`, `breakdown`, `training`, `backends`,
`memory`, `startup`, `loading`, `scaling` and `data_loading`. `--only 'folded*'` measures some
forms; `--repeats`, `--threads` and `--device {{auto,cpu,cuda}}` do what they say. On a GPU it
measures AMP bfloat16 and writes `*_cuda.csv` beside the others. Run it on otherwise idle cores.

After `--minutes` (of `all`: 15) repeats end at the third and no case or form begins; what has begun
is finished, which of a compiled form takes a minute or two. What was left out is named. A table
that lacks it, or was stopped by Ctrl-C or SIGTERM, is written as `*.partial.csv` and does not
replace a whole one; this page shows it where there is no other. `--minutes 60` measures all.

`--isa avx2` limits a CPU with AVX-512 to AVX2 and writes `*_cpu-avx2.csv`, as any run on a CPU with
AVX2 alone does. It sets the switches of PyTorch, oneDNN, MKL and `torch.compile`. ONNX Runtime,
*OpenVINO default* (which would take bfloat16) and our operators in C have none and are left out;
of OpenVINO's operators the reductions and the last matrix product are not limited.

The forms of a case take turns in one process, with the same weights, images and number of threads.
Times are medians with the 20th and 80th percentile; *ratio* is the time of the first form over that
of the row, so that more is better; *difference* is that of the logits from the first form's,
relative to the largest. A form whose difference is beyond the tolerance of its precision
({tolerances})
is marked **wrong** and counts for nothing. Weights are random: they have no influence on speed.

*folded* is the form of `mmvan.deploy.fold`; ONNX Runtime and OpenVINO run it as exported by
`mmvan.deploy`, and mmpretrain's network as exported by PyTorch. Our files take uint8 images and
normalise them, mmpretrain's take normalised ones. *lean* and *with_cp* are the two kinds of
activation checkpointing. Our operators choose their backend themselves, as for any user.

`parity.py` compares numbers, not speed: our classifier with those of mmpretrain and transformers,
the same weights in every layout ([table](../docs/checkpoints.md#parity)). `detectors.py` runs a
whole detector in ONNX Runtime beside mmdet ([table](../docs/deploy.md#detectors)). `run.py` runs
neither.
"""

_BREAKDOWN = """\
The fastest form by OpenVINO's own clock. The limit is what the 1x1 convolutions would take at the
speed of one large matrix product in float32: where they are close to it, float32 has little left to
gain, and only fewer bits per number help."""


def write_report(folder: Path) -> None:
    """Write the page and the images of the tables in a folder.

    Raises:
        DataError: There are no tables, or one cannot be read.
    """
    tables = load_tables(folder)
    for name, device in images_of(tables):
        IMAGES[name](tables, device, folder / f"{name}_{device}.png")
    (folder / PAGE).write_text(make_page(tables), "utf-8")
    print(f"{folder / PAGE}: written")


def check_report(folder: Path) -> None:
    """Check that the page is as the tables say.

    Raises:
        DataError: There are no tables, or one cannot be read.
        SystemExit: With status 1, when the page is not as the tables say.
    """
    page = folder / PAGE
    if not page.is_file() or page.read_text("utf-8") != make_page(load_tables(folder)):
        raise SystemExit(f"{page}: not as the tables say; run benchmarks/run.py report")
    print(f"{page}: up to date")


def load_tables(folder: Path) -> Tables:
    """All tables of a folder; those of a part where the whole one is missing.

    Raises:
        DataError: There are none, or one cannot be read.
    """
    files = {
        (file.name.partition(f"_{device}.")[0], device): file
        for device in DEVICES
        for kind in (".partial", "")  # The whole ones come last and count.
        for file in sorted(folder.glob(f"*_{device}{kind}.csv"))
    }
    if not files:
        raise DataError(
            f"{folder} has no table such as inference_cpu.csv: run benchmarks/run.py all"
        )
    return {key: read_table(file) for key, file in files.items()}


def devices_of(tables: Tables) -> list[str]:
    """The devices that were measured."""
    return [device for device in DEVICES if any(key[1] == device for key in tables)]


def images_of(tables: Tables) -> list[tuple[str, str]]:
    """Names and devices of the images: what they show is known where inference was measured."""
    return [
        (name, device) for name, device in product(IMAGES, DEVICES) if (SUITE, device) in tables
    ]


def make_page(tables: Tables) -> str:
    """The page as text."""
    tolerances = ", ".join(f"{value:g} ({dtype})" for dtype, value in TOLERANCES.items())
    parts = [_INTRO.format(tolerances=tolerances), _goals(tables)]
    for device in devices_of(tables):
        parts += [
            f"![{name}, {device}]({name}_{device}.png)"
            for name, of in images_of(tables)
            if of == device
        ]
        for suite, (title, make) in SECTIONS.items():
            if table := tables.get((suite, device)):
                parts += [f"## {title}{_HEADINGS[device]}", make(table), _measured(table)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _goals(tables: Tables) -> str:
    header = ("goal", "wanted", "reached", "", "by")
    return "## Goals\n\n" + to_markdown([header, *(_goal_row(goal, tables) for goal in GOALS)])


def _goal_row(goal: Goal, tables: Tables) -> tuple[str, ...]:
    where = DEVICES[goal.device]
    wanted = f"{'<=' if goal.at_most else '>='} {goal.target:g}"
    found = find(goal, tables)
    if found is None:
        no_gpu = goal.device not in devices_of(tables) and goal.device == "cuda"
        why = "not measured (no GPU)" if no_gpu else "not measured"
        return f"{where}: {goal.text}", wanted, why, "", ""
    verdict = "reached" if reached(goal, found) else f"missed by {_missed(goal, found):.0%}"
    return f"{where}: {goal.text}", wanted, f"{found.value:.3g}", verdict, found.form


def _missed(goal: Goal, found: Found) -> float:
    return abs(found.value / goal.target - 1)


def _measured(table: Table) -> str:
    on = table.conditions
    commit = f", commit {on.commit}" if on.commit else ""
    part = "**A part of the cases.** " if table.is_partial else ""
    return (
        f"{part}Measured on {on.machine}, {on.threads} threads, {on.date}{commit}, "
        f"with {on.versions}."
    )


def _networks(table: Table) -> str:
    """One table per case: its forms with times and throughput."""
    timed = [
        row for row in table.rows if row.metric == TIME
    ]  # The published accuracy is there too.
    return _per_case(
        timed,
        ("form", "computes in", "ms (p20 to p80)", "images/s", "ratio", "difference"),
        lambda row: (
            row.form,
            row.dtype,
            _range(row),
            f"{1e3 * row.batch / row.median:.1f}",
            _ratio(row),
            _difference(row),
        ),
    )


def _memory(table: Table) -> str:
    return _per_case(
        table.rows,
        ("form", "what", "MiB", "share"),
        lambda row: (row.form, row.metric, f"{row.median:.0f}", f"{1 / (row.ratio or 1):.2f}"),
    )


def _startup(table: Table) -> str:
    return _per_case(
        table.rows,
        ("package", "what", "seconds (p20 to p80)"),
        lambda row: (row.form, row.metric, _range(row)),
    )


def _loading(table: Table) -> str:
    return _per_case(
        table.rows,
        ("form", "what", "ms of CPU time (p20 to p80)", "ratio"),
        lambda row: (row.form, row.metric, _range(row), _ratio(row)),
    )


def _backends(table: Table) -> str:
    return _per_case(
        table.rows,
        ("what", "layout", "backend", "ms (p20 to p80)", "ratio", "difference"),
        lambda row: (
            *(row.metric, row.layout, row.form),
            *(_range(row), _ratio(row), _difference(row)),
        ),
    )


def _scaling(table: Table) -> str:
    """Forms as rows, sizes as columns."""
    sizes = sorted({row.size for row in table.rows})
    lines = [("form", *(f"{size} x {size}" for size in sizes), f"{sizes[-1]} over {sizes[1]}")]
    for form, rows in _grouped(table.rows, lambda row: row.form).items():
        times = {row.size: row.median for row in rows}
        growth = times[sizes[-1]] / times[sizes[1]]
        lines.append((form, *(f"{times[size]:.1f}" for size in sizes), f"{growth:.2f}"))
    return f"Nanoseconds per pixel of one image:\n\n{to_markdown(lines)}"


def _breakdown(table: Table) -> str:
    """Kinds of operators as rows, forms as columns."""
    parts = []
    for case, rows in _grouped(table.rows, lambda row: row.case).items():
        times = {(row.form, row.metric): f"{row.median:.1f}" for row in rows}
        forms, kinds = (list(dict.fromkeys(names)) for names in zip(*times, strict=True))
        lines = [(kind, *(times.get((form, kind), "") for form in forms)) for kind in kinds]
        parts.append(f"**{case}**, milliseconds\n\n{to_markdown([('', *forms), *lines])}")
    return "\n\n".join((_BREAKDOWN, *parts))


def _ops(table: Table) -> str:
    """Ratios of each backend over the shapes."""
    compared = [row for row in table.rows if row.form != "torch"]
    header = ("operator", "backend", "in", "layout", "what", "shapes", "ratio: least, median, most")
    lines = [
        (*key, str(len(rows)), _extent([row.ratio or 0 for row in rows]))
        for key, rows in _grouped(compared, _setting).items()
    ]
    slower = sum((row.ratio or 0) < 1 for row in compared)
    wrong = sum(not is_right(row) for row in compared)
    return (
        f"{to_markdown([header, *lines])}\n\nOf {len(compared)} rows {slower} are slower than "
        f"plain PyTorch; {wrong} differ by more than the tolerance."
    )


def _setting(row: Measurement) -> tuple[str, ...]:
    return row.arch, row.form, row.dtype, row.layout, row.metric


def _data_loading(table: Table) -> str:
    rows = [row for row in table.rows if row.unit != "ms per image"]
    return _per_case(
        rows,
        ("form", "what", "median (p20 to p80)", "unit", "ratio"),
        lambda row: (row.form, row.metric, _range(row), row.unit, _ratio(row)),
    )


def _per_case(
    rows: Sequence[Measurement],
    header: tuple[str, ...],
    line: Callable[[Measurement], tuple[str, ...]],
) -> str:
    parts = [
        f"**{case}**\n\n{to_markdown([header, *map(line, of_case)])}"
        for case, of_case in _grouped(rows, lambda row: row.case).items()
    ]
    return "\n\n".join(parts)


def _grouped(
    rows: Iterable[Measurement], key: Callable[[Measurement], Any]
) -> dict[Any, list[Measurement]]:
    """Rows by a key, in the order of their first ones."""
    groups: dict[Any, list[Measurement]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _range(row: Measurement) -> str:
    return f"{row.median:.4g} ({row.p20:.4g} to {row.p80:.4g})"


def _ratio(row: Measurement) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}"


def _difference(row: Measurement) -> str:
    if row.difference is None:
        return ""
    return f"{row.difference:.1e}" + ("" if is_right(row) else " **wrong**")


def _extent(values: Sequence[float]) -> str:
    return f"{min(values):.1f}, {median(values):.1f}, {max(values):.1f}"


SECTIONS = {
    "inference": ("Inference", _networks),
    "breakdown": ("Where the time goes", _breakdown),
    "training": ("Training step", _networks),
    "backends": ("Operators in whole models", _backends),
    "memory": ("Training memory", _memory),
    "startup": ("Start", _startup),
    "loading": ("Building and loading", _loading),
    "scaling": ("Size of the image", _scaling),
    "ops": ("Operators", _ops),
    "data_loading": ("Data loading", _data_loading),
}
