"""The command line of the leaderboard: ``python -m mmvan.leaderboard audit``."""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import mmcv
import mmengine
import torch

import mmvan
from mmvan import leaderboard
from mmvan.engine.errors import run_command
from mmvan.errors import ConfigError, did_you_mean
from mmvan.leaderboard.audit import FAILURES, Entry, audit, make_table, summarise
from mmvan.leaderboard.published import SECTIONS, load_results
from mmvan.leaderboard.subjects import find_configs, subject_of
from mmvan.leaderboard.table import to_csv, to_markdown, to_text
from mmvan.zoo import config_dir


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sub-command; ends with status 1 when what it checks does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m mmvan.leaderboard", description=leaderboard.__doc__
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_audit(commands)
    options = parser.parse_args(arguments)
    sys.exit(options.run(options))


def _add_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "count parameters and FLOPs of every config and compare them with the published ones"
    parser = commands.add_parser("audit", help=text, description=text)
    add = parser.add_argument
    add("--out", type=Path, default=Path("work_dirs/audit"), help="folder for the table's files")
    add("--configs", type=Path, help="folder of the configs (default: the installed ones)")
    add("--sections", nargs="+", metavar="NAME", help=f"only these of {', '.join(SECTIONS)}")
    parser.set_defaults(run=_run_audit)


def _run_audit(options: argparse.Namespace) -> int:
    """Audit, print, write; returns 1 if a published figure differs beyond rounding, else 0."""
    _check_sections(options.sections)
    configs = find_configs(options.configs or config_dir())
    rows = load_results()
    if options.sections:
        rows = [row for row in rows if row.section in options.sections]
        named = {subject_of(row).config for row in rows}
        configs = {name: path for name, path in configs.items() if name in named}
    out = _make_folder(options.out)
    entries = audit(rows, configs)
    print(to_text(make_table(entries)))
    _write(entries, out)
    print(f"{summarise(entries)}\nwritten to {out}/audit.csv and {out}/audit.md")
    return int(any(entry.verdict in FAILURES for entry in entries))


def _check_sections(names: Sequence[str] | None) -> None:
    for name in names or ():
        if name not in SECTIONS:
            raise ConfigError(
                f"--sections {name}: not a section of the published results."
                f"{did_you_mean(name, SECTIONS)} Choose from {', '.join(SECTIONS)}."
            )


def _make_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {path} cannot be created: {error}") from error
    return path


def _write(entries: Sequence[Entry], out: Path) -> None:
    table = make_table(entries)
    (out / "audit.csv").write_text(to_csv(table), encoding="utf-8")
    title = f"`python -m mmvan.leaderboard audit` with {_versions()}: {summarise(entries)}."
    (out / "audit.md").write_text(f"{title}\n\n{to_markdown(table)}\n", encoding="utf-8")


def _versions() -> str:
    libraries = {"Python": platform.python_version(), "mmvan": mmvan.__version__}
    libraries |= {module.__name__: module.__version__ for module in (torch, mmcv, mmengine)}
    return ", ".join(f"{name} {version}" for name, version in libraries.items())


if __name__ == "__main__":
    run_command(main)
