"""Sets mmvan up for a Python, a family and a torch, tests it, and renews the table of what was run.

    python tools/check_machines.py --python python3.12 --torch torch==2.14.1 --venv /tmp/check
    python tools/check_machines.py --table        # only writes the table anew

Every cell is a run of the steps that a user takes: the setup, `python -m mmvan.doctor`, the tests
and, with `--demo`, the demo. Results are kept in `docs/machines.csv`, the table is in
`docs/installation.md`. Run it once a night for each line that is meant to work.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmvan.engine.errors import run_command
from mmvan.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "docs" / "machines.csv"
PAGE = ROOT / "docs" / "installation.md"
BEGIN, END = "<!-- machines: begin (made by tools/check_machines.py) -->", "<!-- machines: end -->"
KEY = ("system", "python", "family", "torch")
RESULTS = ("setup", "doctor", "tests", "demo")
NOT_RUN = "not run"


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--table", action="store_true", help="only write the table anew")
    add("--python", default=sys.executable, help="interpreter that makes the environment")
    add("--family", choices=("official", "onedl"), default="official")
    add("--torch", default="", help="such as torch==2.14.1 (default: the pinned one)")
    add("--venv", type=Path, help="folder of the environment; it is kept")
    add("--tests", nargs="*", default=["tests"], help="what pytest gets")
    add("--demo", action="store_true", help="run the demo too")
    return parser.parse_args(arguments)


def main() -> None:
    """Runs one cell, unless only the table is asked for.

    Raises:
        ConfigError: there is no folder for the environment, or the page has no place for the table.
    """
    args = parse_args()
    records = read_records(RECORDS)
    if not args.table:
        if args.venv is None:
            raise ConfigError("--venv is missing: where the environment to be tested is made")
        records = put(records, check(args))
        write_records(RECORDS, records)
    PAGE.write_text(replace_table(PAGE.read_text("utf-8"), make_table(records)), "utf-8")


def check(args: argparse.Namespace) -> dict[str, str]:
    """Runs the steps of one cell and returns its record."""
    setup = [args.python, str(ROOT / "tools" / "setup_env.py"), "--family", args.family]
    setup += ["--venv", str(args.venv), *(["--torch", args.torch] if args.torch else [])]
    python = str(args.venv / "bin" / "python")
    results = dict.fromkeys(RESULTS, NOT_RUN)
    results["setup"] = run(setup)
    if results["setup"].startswith("failed"):
        return {**describe(args.python, args.family, args.torch), **results}
    results["doctor"] = run([python, "-m", "mmvan.doctor"])
    results["tests"] = run([python, "-m", "pytest", "-q", *args.tests])
    if args.demo:
        results["demo"] = run([python, str(ROOT / "tools" / "demo.py"), "--fresh"])
    return {**describe(python, args.family, ask(python, "torch.__version__", "torch")), **results}


def run(command: Sequence[str]) -> str:
    """Runs a command; returns how long it took, or that it failed."""
    print(" ".join(command), flush=True)
    start = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    minutes = f"{(time.monotonic() - start) / 60:.1f} min"
    return f"failed ({status}) after {minutes}" if status else minutes


def describe(python: str, family: str, torch: str) -> dict[str, str]:
    """Returns what a record is about."""
    version = ask(python, "platform.python_version()", "platform")
    return dict(zip(KEY, (name_system(), version, family, torch), strict=True))


def name_system() -> str:
    """Returns the system as it stands in the table, such as `Debian 12`; Arch has no number."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # Not Linux.
        return f"{platform.system()} {platform.release()}"
    return " ".join([release["NAME"].split()[0], *filter(None, [release.get("VERSION_ID")])])


def ask(python: str, expression: str, module: str) -> str:
    """Returns what an interpreter says of itself."""
    code = f"import {module}; print({expression})"
    output = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return output.strip()


def read_records(path: Path) -> list[dict[str, str]]:
    """Returns the records of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_records(path: Path, records: Sequence[dict[str, str]]) -> None:
    """Writes the records of a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*KEY, *RESULTS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def put(records: Sequence[dict[str, str]], new: dict[str, str]) -> list[dict[str, str]]:
    """Returns the records with a new one in the place of that about the same thing."""
    others = [old for old in records if any(old[key] != new[key] for key in KEY)]
    return sorted([*others, new], key=lambda record: [record[key] for key in KEY])


def make_table(records: Sequence[dict[str, str]]) -> str:
    """Returns the table in Markdown."""
    columns = [*KEY, *RESULTS]
    rows = [columns, ["---"] * len(columns), *([r[c] for c in columns] for r in records)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def replace_table(page: str, table: str) -> str:
    """Returns a page with a new table between its marks.

    Raises:
        ConfigError: the page lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ConfigError(f"{PAGE} has no line {BEGIN if not begin else END}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


if __name__ == "__main__":
    run_command(main)
