"""The command ``mmvan``: finds the sub-command, imports it alone, and runs it."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from mmvan.engine.errors import USER_ERROR_STATUS, run_command
from mmvan.errors import ConfigError, did_you_mean
from mmvan.version import __version__


class Command(Protocol):
    """What a module must have to be a command."""

    DESCRIPTION: str

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments and options."""

    def run(self, args: argparse.Namespace) -> int | None:
        """Do what was asked for; return the exit status, or None for 0."""


class Entry(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    module: str
    summary: str


COMMANDS = {
    "train": Entry("mmvan.cli.train", "train a model; the config decides the task"),
    "test": Entry("mmvan.cli.test", "evaluate a checkpoint"),
    "infer": Entry("mmvan.cli.infer", "predict on images, folders, videos and cameras"),
    "export": Entry("mmvan.cli.export", "write a model for ONNX Runtime, OpenVINO or libtorch"),
    "infer-exported": Entry("mmvan.cli.infer_exported", "run an exported model on images"),
    "prepare": Entry("mmvan.cli.prepare", "lay out and check a dataset, also your own"),
    "sample-data": Entry("mmvan.cli.sample_data", "make small datasets to try everything with"),
    "visualize": Entry("mmvan.cli.visualize", "Grad-CAM, attention, augmentations, schedules, ..."),
    "analyze": Entry("mmvan.cli.analyze", "log curves, confusion, AP per class, worst images, ..."),
    "convert": Entry("mmvan.cli.convert", "rename the weights of a checkpoint for other code"),
    "publish": Entry("mmvan.cli.publish", "write the weights alone, under a hashed name"),
    "replay-nan": Entry("mmvan.cli.replay_nan", "repeat a step whose loss was not a number"),
    "leaderboard": Entry("mmvan.leaderboard.__main__", "compare with the published results"),
    "tune": Entry("mmvan.tune.__main__", "measure which operators are fastest here"),
    "doctor": Entry("mmvan.doctor.__main__", "test what is installed"),
    "demo": Entry("mmvan.cli.demo", "train, evaluate and draw all tasks on generated data"),
    "demo-app": Entry("mmvan.cli.demo_app", "try models on images in the browser"),
    "completion": Entry("mmvan.cli.completion", "print the completion script of a shell"),
}
EXIT_CODES = """\
exit status:
  0  done
  1  a check does not hold, or some of the inputs could not be used; with a traceback: a defect
  2  the command line, the config or the data are at fault: the message says what to do
`mmvan COMMAND --help` lists the options of a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sub-command.

    Args:
        arguments: The command line; by default the process's own.

    Raises:
        SystemExit: With the status of the command, if it is not 0.
    """
    given = sys.argv[1:] if arguments is None else arguments
    run_command(lambda: _run_named(given))


def run_script(name: str) -> None:
    """Run a command as a script of its own, such as ``tools/train.py``.

    Args:
        name: One of :data:`COMMANDS`.

    Raises:
        SystemExit: With the status of the command, if it is not 0.
    """
    run_command(lambda: _run(name, None, sys.argv[1:]))


def load(name: str) -> Command:
    """Import a command; only then its frameworks are imported."""
    return cast(Command, import_module(COMMANDS[name].module))


def make_parser(name: str, prog: str | None = None) -> argparse.ArgumentParser:
    """The command line of one command.

    Args:
        name: One of :data:`COMMANDS`.
        prog: How the usage names it; by default as the script that runs.
    """
    command = load(name)
    parser = argparse.ArgumentParser(prog=prog, description=command.DESCRIPTION)
    command.add_options(parser)
    return parser


def make_main_parser(*, complete: bool = False) -> argparse.ArgumentParser:
    """The command line of ``mmvan`` itself.

    Args:
        complete: With the options of every command, which imports them all.
    """
    parser = argparse.ArgumentParser(
        prog="mmvan",
        description="The Visual Attention Network for OpenMMLab.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmvan {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, entry in COMMANDS.items():
        description = load(name).DESCRIPTION if complete else None
        sub = commands.add_parser(name, help=entry.summary, description=description)
        if complete:
            load(name).add_options(sub)
    return parser


def _run_named(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0].startswith("-"):
        parser = make_main_parser()
        parser.parse_args(arguments)  # ends, unless nothing is given
        parser.print_help(sys.stderr)
        raise SystemExit(USER_ERROR_STATUS)
    name, *rest = arguments
    if name not in COMMANDS:
        raise ConfigError(
            f"mmvan {name}: no such command.{did_you_mean(name, COMMANDS)} Choose from "
            f"{', '.join(COMMANDS)}."
        )
    _run(name, f"mmvan {name}", rest)


def _run(name: str, prog: str | None, arguments: Sequence[str]) -> None:
    status = load(name).run(make_parser(name, prog).parse_args(arguments))
    if status:
        raise SystemExit(status)
