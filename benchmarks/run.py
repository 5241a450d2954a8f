"""Measures the speed and the memory of VAN, and reports: one command for any machine.

    python benchmarks/run.py all         # every suite, then the report
    python benchmarks/run.py inference   # one suite
    python benchmarks/run.py report      # README.md and the plots, from the tables

Each suite writes its table when it is done, and that of the cases it has done when it is stopped
(Ctrl-C, SIGTERM, --minutes). Run it on otherwise idle cores.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import torch
from instructions import NOT_EMULATED, SWITCHES, is_emulated, is_switched
from settings import Settings
from table import Measurement, Table, current_conditions, table_file, write_table
from timing import say

from mmvan.engine.device import DEVICES, choose_device
from mmvan.engine.errors import run_command
from mmvan.errors import ConfigError

HERE = Path(__file__).resolve().parent
# With the shares of the time that `all` has; what a suite leaves is for those after it.
SUITES = {
    "ops": 3,
    "inference": 8,
    "breakdown": 1,
    "training": 4,
    "backends": 1,
    "memory": 1,
    "startup": 1,
    "loading": 1,
    "scaling": 2,
    "data_loading": 3,
}
CPU_ALONE = ("breakdown",)
STOPPED = 128 + signal.SIGINT  # The status of a command that was stopped, as in a shell.
_MINUTES = 15.0


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in (*SUITES, "all"):
        command = commands.add_parser(name, help=f"measure {name}")
        command.set_defaults(run=run_all if name == "all" else run_suite, suite=name)
        _add_options(command, _MINUTES if name == "all" else None)
    command = commands.add_parser("report", help="write README.md and the plots from the tables")
    command.set_defaults(run=run_report)
    command.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    command.add_argument(
        "--check",
        action="store_true",
        help="write nothing; end with status 1 if README.md is not as the tables say",
    )
    return parser.parse_args(arguments)


def _add_options(command: argparse.ArgumentParser, minutes: float | None) -> None:
    command.add_argument("--device", choices=DEVICES, default="auto")
    command.add_argument("--threads", type=_positive, help="default: as PyTorch chooses")
    command.add_argument("--repeats", type=_positive, help="default: each suite's own number")
    command.add_argument(
        "--minutes",
        type=_positive_minutes,
        default=minutes,
        help=f"then no further case begins, and fewer repeats; default: {minutes or 'no limit'}",
    )
    command.add_argument("--isa", choices=("avx2",), help="limit a CPU with AVX-512 to AVX2")
    command.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    command.add_argument(
        "--only", nargs="+", default=(), metavar="FORM", help="forms to measure, as in 'folded*'"
    )
    command.add_argument(
        "--quick", action="store_true", help="see on tiny sizes that everything runs"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def _positive_minutes(text: str) -> float:
    minutes = float(text)
    if not minutes > 0:
        raise argparse.ArgumentTypeError(f"must be more than 0, got {text}")
    return minutes


def run_suite(options: argparse.Namespace) -> None:
    """Measure one suite and write its table, or that of the cases that were done.

    Raises:
        ConfigError: A part of the table would replace the whole one, or no form is named.
        SystemExit: With status :data:`STOPPED` when it was stopped.
    """
    _check_out(options)
    _limit_instructions(options)
    device = choose_device(options.device)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    threads = torch.get_num_threads()
    conditions = current_conditions(device, threads)
    start = time.perf_counter()
    settings = Settings(
        device=device,
        threads=threads,
        repeats=options.repeats,
        quick=options.quick,
        only=options.only,
        without=NOT_EMULATED if is_emulated(device) else (),
        end=start + 60 * (options.minutes or math.inf),
    )
    say(f"{options.suite}, on {conditions.machine}, {threads} threads")
    rows, is_stopped = _collect(import_module(options.suite).measure(settings))
    is_partial = is_stopped or bool(settings.left_out)
    seconds = f"{time.perf_counter() - start:.0f} s"
    if rows:
        file = table_file(options.out, options.suite, conditions.device, is_partial=is_partial)
        write_table(Table(conditions, rows), file)
        what = f"{len(rows)} rows in {seconds}: {file}"
    else:
        what = f"no case was done in {seconds}"
    print(f"{options.suite}: {_why(settings.left_out, is_stopped)}{what}", flush=True)
    if not is_partial:
        partial = table_file(options.out, options.suite, conditions.device, is_partial=True)
        partial.unlink(missing_ok=True)
    if is_stopped:
        raise SystemExit(STOPPED)


def _collect(measured: Iterator[list[Measurement]]) -> tuple[list[Measurement], bool]:
    """The rows of all cases that were done, and whether it was stopped before the others."""
    rows: list[Measurement] = []
    try:
        for of_case in measured:
            rows += of_case
    except KeyboardInterrupt:
        return rows, True
    return rows, False


def _why(left_out: Sequence[str], is_stopped: bool) -> str:
    """What a table lacks, and that it is not the whole one."""
    if is_stopped:
        return "stopped; a part of the table: "
    return f"a part of the table, without {'; '.join(left_out)}: " if left_out else ""


def _limit_instructions(options: argparse.Namespace) -> None:
    """Go on in a process that was started with the switches: libraries read them at their start.

    Raises:
        ConfigError: A GPU is asked for.
    """
    if not options.isa:
        return
    if options.device == "cuda":
        raise ConfigError("--isa avx2 limits the CPU: leave out --device cuda")
    options.device = "cpu"
    if not is_switched():
        command = [sys.executable, __file__, *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **SWITCHES})


def _check_out(options: argparse.Namespace) -> None:
    if options.out.resolve() == HERE and (options.quick or options.only):
        raise ConfigError(
            "--quick and --only measure a part, which must not replace the whole table in "
            f"{HERE}: name another folder by --out"
        )
    options.out.mkdir(parents=True, exist_ok=True)


def run_all(options: argparse.Namespace) -> None:
    """Measure every suite in a process of its own, so that none inherits another's threads.

    Raises:
        SystemExit: With status 1, after all suites, if one failed, whose old table stays; with
            status :data:`STOPPED` when it was stopped, after the report of what there is.
    """
    _check_out(options)
    _limit_instructions(options)
    on_gpu = choose_device(options.device) == "cuda"
    suites = [suite for suite in SUITES if not (on_gpu and suite in CPU_ALONE)]
    statuses = _run_in_turn(suites, time.perf_counter() + 60 * options.minutes)
    failed = [suite for suite, status in statuses.items() if status not in (0, STOPPED)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    run_report(argparse.Namespace(out=options.out, check=False))
    if STOPPED in statuses.values():
        raise SystemExit(STOPPED)


def _run_in_turn(suites: Sequence[str], end: float) -> dict[str, int]:
    """Run suites until one is stopped, each with its share of the time; their statuses."""
    arguments = sys.argv[sys.argv.index("all") + 1 :]
    statuses: dict[str, int] = {}
    for i, suite in enumerate(suites):
        share = SUITES[suite] / sum(SUITES[later] for later in suites[i:])
        minutes = max(0.01, (end - time.perf_counter()) / 60 * share)
        command = [sys.executable, __file__, suite, *arguments, "--minutes", f"{minutes:.2f}"]
        statuses[suite] = _run(command)
        if statuses[suite] == STOPPED:
            break
    return statuses


def _run(command: Sequence[str]) -> int:
    """Run a suite, which writes what it has when this process is asked to stop; its status."""
    # In a session of its own Ctrl-C does not reach it, so that it is told to stop once.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return STOPPED


def run_report(options: argparse.Namespace) -> None:
    """Write the report, or check that it is as the tables say."""
    from report import check_report, write_report

    (check_report if options.check else write_report)(options.out)


def main() -> None:
    """Run a command."""
    options = parse_args()
    options.run(options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # As Ctrl-C does.
    run_command(main)
