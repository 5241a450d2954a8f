#!/usr/bin/env python3
"""Builds the documentation as a site, in which every warning is an error.

    python3 tools/make_docs.py              # into site/; begin with site/index.html
    python3 tools/make_docs.py serve        # in the browser, following the files

The environment `.venv-docs` is made first, from the extra `docs` in `pyproject.toml`, and anew when
that changes. mmvan and PyTorch are not needed: docstrings are read from the sources.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from env_setup.pins import find_pin, read_project, select_pins
from env_setup.shell import SetupError, Shell

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-docs"
OLDEST = (3, 11)  # For the pinned mkdocstrings and theme.


def find_pins() -> list[str]:
    """Returns what the environment needs: the extra, and ruff, which formats signatures."""
    pins = select_pins(read_project(ROOT / "pyproject.toml"), ("docs", "dev"), None)
    return [*pins["docs"], find_pin(pins["dev"], "ruff")]


def make_environment(venv: Path, pins: Sequence[str]) -> None:
    """Makes the environment, unless it is there and the same.

    Args:
        venv: Its folder; what is in it is lost.
        pins: What is installed.

    Raises:
        SetupError: A step failed, this Python is too old, or the folder is something else.
    """
    if sys.version_info[:2] < OLDEST:
        found, oldest = (".".join(map(str, pair)) for pair in (sys.version_info[:2], OLDEST))
        raise SetupError(
            f"this is Python {found}, and the packages that build the site need {oldest} or later: "
            f"name one, as in make docs PYTHON=python{oldest}"
        )
    parts = [list(pins), sys.version_info[:2], str(venv)]
    current = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    shell = Shell(venv)
    mark = shell.logs / "stamp"
    if mark.exists() and mark.read_text(encoding="ascii") == current:
        return
    if venv.exists() and not (venv / "pyvenv.cfg").exists():
        raise SetupError(f"{venv} is no virtual environment: move it away")
    print(f"Making {venv}", flush=True)
    outside = Path(tempfile.mkdtemp())  # `--clear` would take a log inside away.
    Shell(outside).run("venv", sys.executable, "-m", "venv", "--clear", venv)
    shutil.rmtree(outside)
    shell.install("docs", *pins)
    mark.write_text(current, encoding="ascii")


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds or serves the site; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", nargs="?", choices=("build", "serve"), default="build")
    action = parser.parse_args(arguments).action
    try:
        make_environment(VENV, find_pins())
    except SetupError as error:
        print(f"\nSetup failed: {error}", file=sys.stderr)
        return 1
    # The theme says on every run that its support ends; pyproject.toml has the date.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [VENV / "bin" / "python", "-m", "mkdocs", action, "--strict"]
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
