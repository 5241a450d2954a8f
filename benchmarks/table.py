"""The table of a suite: one row per case, form and metric, as CSV that explains itself."""

import csv
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from instructions import is_emulated, table_device
from timing import Spread

import mmvan
from mmvan.errors import DataError
from mmvan.leaderboard.output import cpu_name

_PACKAGES = (
    *("torch", "triton", "mmengine", "mmcv", "mmpretrain", "mmdet", "mmdeploy"),
    *("onedl-mmengine", "onedl-mmcv", "onedl-mmpretrain", "onedl-mmdetection"),
    *("onnx", "onnxruntime", "openvino", "opencv-python", "Pillow"),
)
_PARTIAL = ".partial"
_DIGITS = 5  # More than any repetition confirms.


@dataclass(frozen=True)
class Measurement:
    """One measured quantity of one form; a form is one way of computing a case.

    Args:
        suite: The suite that measured it.
        case: What was computed; the forms of a case took turns.
        arch: The network, or the part of it.
        batch: Images per batch; 0 where there are none.
        size: Height and width of the images, or of the map, in pixels; 0 where there are none.
        form: The way of computing it.
        dtype: In which numbers.
        layout: Of maps and weights in memory.
        metric: What was measured.
        unit: Of the three values.
        median: Over the repeats.
        p20: 20th percentile.
        p80: 80th percentile.
        repeats: How many times it was measured.
        ratio: The baseline's median over this one, so that more is better; None without baseline.
        difference: Of the result from the baseline's, see the suite; None without results.
    """

    suite: str
    case: str
    arch: str
    batch: int
    size: int
    form: str
    dtype: str
    layout: str
    metric: str
    unit: str
    median: float
    p20: float
    p80: float
    repeats: int
    ratio: float | None = None
    difference: float | None = None


@dataclass(frozen=True)
class Conditions:
    """Where and when a table was measured.

    Args:
        device: ``cpu``, ``cpu-avx2`` (a CPU with AVX2 alone) or ``cuda``.
        machine: Name of the processor or the GPU.
        threads: Threads that each form was given.
        versions: Of Python and the packages that take part.
        date: In UTC.
        commit: Of this project; empty outside a clone.
    """

    device: str
    machine: str
    threads: int
    versions: str
    date: str
    commit: str


@dataclass(frozen=True)
class Table:
    """What one run of a suite measured; partial when it stopped before it had done all cases."""

    conditions: Conditions
    rows: Sequence[Measurement]
    is_partial: bool = False


def compare(
    values: Mapping[str, Spread],
    baseline: str,
    kinds: Mapping[str, tuple[str, str]],
    differences: Mapping[str, float] | None = None,
    **common: Any,
) -> list[Measurement]:
    """The rows of forms that took turns.

    Args:
        values: What was measured of each form, of which less is better.
        baseline: The form that the others are compared with.
        kinds: Of each form its dtype and layout.
        differences: Of each form's result from the baseline's.
        **common: What the rows have in common, by the names of :class:`Measurement`.
    """
    return [
        Measurement(
            form=form,
            dtype=kinds[form][0],
            layout=kinds[form][1],
            **asdict(value),
            ratio=values[baseline].median / value.median,
            difference=None if differences is None else differences[form],
            **common,
        )
        for form, value in values.items()
    ]


def current_conditions(device: str, threads: int) -> Conditions:
    """The conditions of this process."""
    return Conditions(
        device=table_device(device),
        machine=_machine(device),
        threads=threads,
        versions=_versions(),
        date=datetime.now(timezone.utc).date().isoformat(),
        commit=_commit(),
    )


def _machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"AVX2 emulated on {cpu_name()}" if is_emulated(device) else cpu_name()


def table_file(folder: Path, suite: str, device: str, *, is_partial: bool = False) -> Path:
    """Where a table lies; one of a part never replaces that of the whole."""
    return folder / f"{suite}_{device}{_PARTIAL if is_partial else ''}.csv"


def write_table(table: Table, file: Path) -> None:
    """Write a table; every row carries the conditions, so that tables can be joined."""
    conditions = asdict(table.conditions)
    rows = [{**asdict(row), **conditions} for row in table.rows]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _columns(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _to_text(value) for name, value in row.items()} for row in rows)


def read_table(file: Path) -> Table:
    """Read what :func:`write_table` wrote.

    Raises:
        DataError: The file cannot be read, is empty, or has other columns or values.
    """
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            columns, lines = list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if columns != _columns() or not lines:
        raise DataError(
            f"{file}: expected the columns {', '.join(_columns())} and rows below them, found "
            f"{', '.join(columns) or 'nothing'} and {len(lines)} rows. Measure again."
        )
    try:
        rows = [_parse(Measurement, line) for line in lines]
        return Table(_parse(Conditions, lines[0]), rows, file.stem.endswith(_PARTIAL))
    except ValueError as error:
        raise DataError(f"{file}: a value has the wrong form: {error}") from error


def _columns() -> list[str]:
    return [field.name for kind in (Measurement, Conditions) for field in fields(kind)]


def _to_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return "" if value is None else str(value)


def _parse(kind: type[Any], line: dict[str, str]) -> Any:
    return kind(**{field.name: _from_text(line[field.name], field.type) for field in fields(kind)})


def _from_text(text: str, kind: Any) -> Any:
    if kind == float | None:
        return float(text) if text else None
    return kind(text)


def _versions() -> str:
    named = [f"Python {platform.python_version()}", f"mmvan {mmvan.__version__}"]
    return ", ".join([*named, *filter(None, map(_installed, _PACKAGES))])


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
