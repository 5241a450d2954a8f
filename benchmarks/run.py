"""Measures the speed and the memory of VAN, and reports: one command for any machine.

    python benchmarks/run.py all         # every suite, then the report
    python benchmarks/run.py inference   # one suite
    python benchmarks/run.py report      # README.md and the plots, from the tables

Each suite writes its table when it is done. Run it on otherwise idle cores.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from settings import Settings
from table import Table, current_conditions, write_table

from mmvan.engine.device import DEVICES, choose_device
from mmvan.engine.errors import run_command
from mmvan.errors import ConfigError

HERE = Path(__file__).resolve().parent
SUITES = (
    *("ops", "inference", "breakdown", "training", "backends"),
    *("memory", "startup", "loading", "scaling", "data_loading"),
)
CPU_ALONE = ("breakdown",)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in (*SUITES, "all"):
        command = commands.add_parser(name, help=f"measure {name}")
        command.set_defaults(run=run_all if name == "all" else run_suite, suite=name)
        _add_options(command)
    command = commands.add_parser("report", help="write README.md and the plots from the tables")
    command.set_defaults(run=run_report)
    command.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    command.add_argument(
        "--check",
        action="store_true",
        help="write nothing; end with status 1 if README.md is not as the tables say",
    )
    return parser.parse_args(arguments)


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", choices=DEVICES, default="auto")
    command.add_argument("--threads", type=_positive, help="default: as PyTorch chooses")
    command.add_argument("--repeats", type=_positive, help="default: each suite's own number")
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


def run_suite(options: argparse.Namespace) -> None:
    """Measure one suite and write its table.

    Raises:
        ConfigError: A part of the table would replace the whole one, or no form is named.
    """
    _check_out(options)
    device = choose_device(options.device)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    threads = torch.get_num_threads()
    settings = Settings(device, threads, options.repeats, options.quick, options.only)
    start = time.perf_counter()
    rows = import_module(options.suite).measure(settings)
    file = options.out / f"{options.suite}_{device}.csv"
    write_table(Table(current_conditions(device, threads), rows), file)
    print(f"{options.suite}: {len(rows)} rows in {time.perf_counter() - start:.0f} s: {file}")


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
        SystemExit: With status 1, after all suites, if one failed; its old table stays.
    """
    _check_out(options)
    arguments = sys.argv[sys.argv.index("all") + 1 :]
    on_gpu = choose_device(options.device) == "cuda"
    suites = [suite for suite in SUITES if not (on_gpu and suite in CPU_ALONE)]
    failed = [
        suite
        for suite in suites
        if subprocess.run([sys.executable, __file__, suite, *arguments], check=False).returncode
    ]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    run_report(argparse.Namespace(out=options.out, check=False))


def run_report(options: argparse.Namespace) -> None:
    """Write the report, or check that it is as the tables say."""
    from report import check_report, write_report

    (check_report if options.check else write_report)(options.out)


def main() -> None:
    """Run a command."""
    options = parse_args()
    options.run(options)


if __name__ == "__main__":
    run_command(main)
