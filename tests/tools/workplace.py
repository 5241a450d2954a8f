"""A small workplace, with the sample data and a space in its path, to run the commands in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmvan.data.sample import prepare
from tests.forks import forked_launch, run_python

PROJECT = Path(__file__).parents[2]
CONFIGS = PROJECT / "configs"
TOOLS = PROJECT / "tools"
# Training and validation images: of each class (cls), or in all.
COUNTS = {"cls": (2, 1), "det": (24, 4), "seg": (4, 2)}
TIMEOUT = 300  # seconds; a hanging process group must not hang the suite


class Workplace:
    """A directory to run commands in, as a user would.

    Args:
        root: An empty directory; the sample data are made in it, where the configs expect them.
        tasks: The tasks whose data are made.
    """

    def __init__(self, root: Path, tasks: Sequence[str] = tuple(COUNTS)) -> None:
        self.root = root
        for task in tasks:
            prepare(root / "data" / "sample", task, counts=COUNTS[task])

    def run(self, tool: str, *arguments: str | Path, **environment: str) -> tuple[int, str, str]:
        """Run ``tools/<tool>``, a Python command or a launcher.

        Returns:
            tuple[int, str, str]: Exit status, standard output and standard error.
        """
        words = [str(TOOLS / tool), *map(str, arguments)]
        # A variable may be read when PyTorch is imported, which a fork finds done.
        python = {"PYTHON": sys.executable} if environment else forked_launch()
        own = {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **python}
        variables = {**os.environ, **own, **environment}
        if tool.endswith(".py") and not environment:
            done = run_python(*words, cwd=self.root, environment=variables, timeout=TIMEOUT)
        else:
            interpreter = [sys.executable] if tool.endswith(".py") else []
            done = subprocess.run(
                [*interpreter, *words],
                cwd=self.root,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT,
            )
        return done.returncode, done.stdout, done.stderr

    def succeed(self, tool: str, *arguments: str | Path, **environment: str) -> str:
        """Run a command that must succeed.

        Returns:
            str: All that it printed.
        """
        status, out, err = self.run(tool, *arguments, **environment)
        assert status == 0, out + err
        return out + err

    def refuse(self, tool: str, *arguments: str | Path, **environment: str) -> str:
        """Run a command that must stop with a message, and without a traceback.

        Returns:
            str: What it wrote to the standard error.
        """
        status, out, err = self.run(tool, *arguments, **environment)
        assert status == 2, out + err
        assert "Traceback" not in err
        return err
