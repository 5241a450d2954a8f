"""The command ``python -m mmvan.leaderboard audit``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmvan.engine.options import as_sentence
from mmvan.errors import ConfigError, did_you_mean
from mmvan.leaderboard.audit import FAILURES, audit, make_table, summarise
from mmvan.leaderboard.output import make_folder, versions, write_table
from mmvan.leaderboard.published import SECTIONS, load_results
from mmvan.leaderboard.subjects import find_configs, subject_of
from mmvan.leaderboard.table import to_text
from mmvan.location import config_dir


def add_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    text = "count parameters and FLOPs of every config and compare them with the published ones"
    parser = commands.add_parser("audit", help=text, description=as_sentence(text))
    add = parser.add_argument
    add("--out", type=Path, default=Path("work_dirs/audit"), help="folder for the table's files")
    add("--configs", type=Path, help="folder of the configs (default: the installed ones)")
    add("--sections", nargs="+", metavar="NAME", help=f"only these of {', '.join(SECTIONS)}")
    parser.set_defaults(run=run_audit)


def run_audit(options: argparse.Namespace) -> int:
    """Audit, print, write.

    Returns:
        int: 1 if a published figure differs beyond rounding, else 0.
    """
    _check_sections(options.sections)
    configs = find_configs(options.configs or config_dir())
    rows = load_results()
    if options.sections:
        rows = [row for row in rows if row.section in options.sections]
        named = {subject_of(row).config for row in rows}
        configs = {name: path for name, path in configs.items() if name in named}
    out = make_folder(options.out)
    entries = audit(rows, configs)
    table = make_table(entries)
    print(to_text(table))
    title = f"`python -m mmvan.leaderboard audit` with {versions()}: {summarise(entries)}."
    print(f"{summarise(entries)}\n{write_table(table, title, out, 'audit')}")
    return int(any(entry.verdict in FAILURES for entry in entries))


def _check_sections(names: Sequence[str] | None) -> None:
    for name in names or ():
        if name not in SECTIONS:
            raise ConfigError(
                f"--sections {name}: not a section of the published results."
                f"{did_you_mean(name, SECTIONS)} Choose from {', '.join(SECTIONS)}."
            )
