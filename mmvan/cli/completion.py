"""Completion in a shell: ``mmvan completion bash``."""

import argparse
from pathlib import Path

from mmvan.cli.main import make_main_parser
from mmvan.errors import ConfigError

SHELLS = ("bash", "zsh", "tcsh")
DESCRIPTION = (
    "Print a script that lets a shell complete commands, options, choices and files. Bash reads it "
    "from ~/.local/share/bash-completion/completions/mmvan, zsh as _mmvan from a folder of fpath."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def run(args: argparse.Namespace) -> None:
    """Print the script.

    Raises:
        ConfigError: shtab, which writes it, is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError:
        raise ConfigError(
            "completion needs shtab, which is not installed: pip install 'mmvan[completion]'"
        ) from None
    parser = make_main_parser(complete=True)
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, shell=args.shell))


def _complete_files(parser: argparse.ArgumentParser, kind: dict[str, str]) -> None:
    """Let arguments that name files be completed with files."""
    names = ("config", "checkpoint", "inputs", "images", "source")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub, kind)
        elif action.type is Path or action.dest in names:
            action.complete = kind  # type: ignore[attr-defined]
