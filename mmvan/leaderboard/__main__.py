"""The command line of the leaderboard: ``python -m mmvan.leaderboard {audit,run}``."""

import argparse
import sys
from collections.abc import Sequence

from mmvan import leaderboard
from mmvan.engine.children import end_on_sigterm
from mmvan.engine.errors import run_command
from mmvan.leaderboard.audit_command import add_audit
from mmvan.leaderboard.run_command import add_run

DESCRIPTION = leaderboard.__doc__ or ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_audit(commands)
    add_run(commands)


def run(options: argparse.Namespace) -> int:
    """Run a sub-command; returns 1 when what it checks does not hold, else 0."""
    end_on_sigterm()
    status: int = options.run(options)
    return status


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sub-command of ``python -m mmvan.leaderboard``, and end with its status."""
    parser = argparse.ArgumentParser(prog="python -m mmvan.leaderboard", description=DESCRIPTION)
    add_options(parser)
    options = parser.parse_args(arguments)
    sys.exit(options.run(options))


if __name__ == "__main__":
    end_on_sigterm()
    run_command(main)
