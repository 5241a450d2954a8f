"""The command line of the leaderboard: ``python -m mmvan.leaderboard {audit,run}``."""

import argparse
import sys
from collections.abc import Sequence

from mmvan import leaderboard
from mmvan.engine.children import end_on_sigterm
from mmvan.engine.errors import run_command
from mmvan.leaderboard.audit_command import add_audit
from mmvan.leaderboard.run_command import add_run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sub-command; ends with status 1 when what it checks does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m mmvan.leaderboard", description=leaderboard.__doc__
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_audit(commands)
    add_run(commands)
    options = parser.parse_args(arguments)
    sys.exit(options.run(options))


if __name__ == "__main__":
    end_on_sigterm()
    run_command(main)
