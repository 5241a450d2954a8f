"""The command line of the doctor."""

import argparse
import json
import sys
from collections.abc import Sequence

from mmvan import doctor
from mmvan.doctor.checks import make_checks
from mmvan.doctor.matrix import report, run_check, show_table

DESCRIPTION = (doctor.__doc__ or "").partition("\n")[0]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line of ``python -m mmvan.doctor`` and runs it."""
    parser = argparse.ArgumentParser(prog="python -m mmvan.doctor", description=DESCRIPTION)
    add_options(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Prints the matrix; returns 1 if training could not work, else 0."""
    results = [run_check(check) for check in make_checks()]
    outcome = report(results)
    if options.json:
        print(json.dumps(outcome, indent=2))
    else:
        print(show_table(results))
        works = f"Training works: {', '.join(outcome['tasks'])}."
        print(works if outcome["works"] else "Training cannot work: see the fixes above.")
    return 0 if outcome["works"] else 1


if __name__ == "__main__":
    sys.exit(main())
