"""Runs checks and shows their results as a matrix."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmvan.doctor.families import find_family, installed_version

TASKS = {"mmpretrain": "classification", "mmdet": "detection", "mmseg": "segmentation"}


@dataclass(frozen=True)
class Finding:
    """What a check saw.

    Attributes:
        detail: what works.
        warning: what works badly; empty if nothing.
        fix: what to do about the warning, if not the check's own fix.
    """

    detail: str
    warning: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Check:
    """One line of the matrix.

    Attributes:
        component: name shown.
        run: uses the component; an exception means that it does not work.
        level: ``required`` for training at all, ``task`` for one of the tasks, or ``optional``.
        distribution: name whose version is shown; empty for none.
        fix: what to do if it fails.
    """

    component: str
    run: Callable[[], Finding]
    level: str
    distribution: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Result:
    """A check's outcome.

    Attributes:
        component: name shown.
        version: of the distribution; may be empty.
        status: ``ok``, ``warn``, ``fail`` or, for an optional part, ``absent``.
        detail: what works, or the error.
        fix: what to do; empty if nothing.
        level: the check's.
    """

    component: str
    version: str
    status: str
    detail: str
    fix: str
    level: str


def run_check(check: Check) -> Result:
    """Runs a check; whatever it raises becomes part of the result."""
    version = installed_version(check.distribution) if check.distribution else ""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            finding = check.run()
    except Exception as error:  # noqa: BLE001 - a part can break in any way, and that is the result
        missing = (
            check.level == "optional" and isinstance(error, ModuleNotFoundError) and not version
        )
        status = "absent" if missing else "fail" if check.level == "required" else "warn"
        detail = "not installed" if missing else f"{type(error).__name__}: {first_line(error)}"
        if cost := TASKS.get(check.component):
            detail = f"no {cost}: {detail}"
        return Result(check.component, version, status, detail, check.fix, check.level)
    if finding.warning:
        fix = finding.fix or check.fix
        return Result(check.component, version, "warn", finding.warning, fix, check.level)
    return Result(check.component, version, "ok", finding.detail, "", check.level)


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message that is not empty."""
    return next(filter(None, map(str.strip, str(error).splitlines())), "no message")


def working_tasks(results: Iterable[Result]) -> list[str]:
    """Returns the tasks that can be trained; none if a required part fails."""
    status = {result.component: result.status for result in results}
    if "fail" in status.values():
        return []
    return [task for library, task in TASKS.items() if status.get(library) == "ok"]


def show_table(results: Sequence[Result]) -> str:
    """Returns the matrix as text; a part's fix stands under it."""
    rows = [("component", "version", "status", "detail")]
    for result in results:
        rows.append((result.component, result.version or "-", result.status, result.detail))
        if result.fix and result.status != "absent":
            rows.append(("", "", "", f"fix: {result.fix}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row, widths), row[3]]).rstrip() for row in rows]
    return "\n".join(lines)


def report(results: Sequence[Result]) -> dict[str, Any]:
    """Returns everything for `--json`."""
    tasks = working_tasks(results)
    checks = [asdict(result) for result in results]
    return {"family": find_family(), "works": bool(tasks), "tasks": tasks, "checks": checks}
