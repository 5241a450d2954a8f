"""A command in a fork finds what a new process would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forks
from tests.forks import run_python

SAYS = """
import os, sys
print(__name__, sys.argv, os.getcwd(), os.environ.get("WORD"), sys.path[:2], sys.stdin.read())
early = [name for name in sys.modules if name.startswith(("mmengine", "mmcv", "mmvan"))]
print("imported early:", early, file=sys.stderr)
raise SystemExit(3)
"""


def run(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return run_python(*arguments, cwd=cwd, environment=environment, timeout=60)


def test_scripts_and_modules_run_as_in_a_process_of_their_own(tmp_path: Path) -> None:
    for folder in ("here", "cwd"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "says.py").write_text(SAYS)
    variables = {"WORD": "w", "PYTHONPATH": "/added"}
    for command in (("../here/says.py", "a b"), ("-m", "says", "--x")):
        done = run(*command, cwd=tmp_path / "cwd", **variables)
        real = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path / "cwd",
            env={"PATH": os.environ["PATH"], **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (3, real.stdout, real.stderr)
        assert done.stderr == "imported early: []\n"


def test_errors_and_signals_end_as_usual(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("1 / 0")
    done = run("wrong.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    (tmp_path / "killed.py").write_text("import os; os.kill(os.getpid(), 9)")
    assert run("killed.py", cwd=tmp_path).returncode == -9


def test_what_takes_too_long_is_ended_and_the_next_command_runs(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        run_python("sleeps.py", cwd=tmp_path, environment={}, timeout=0.5)
    (tmp_path / "draws.py").write_text("import numpy; print(numpy.random.rand())")
    first, second = (run("draws.py", cwd=tmp_path) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout != second.stdout


def test_a_server_that_was_ended_is_replaced(tmp_path: Path) -> None:
    ended = forks._server()
    ended.kill()
    ended.wait()
    (tmp_path / "says.py").write_text("print(1)")
    assert run("says.py", cwd=tmp_path).stdout == "1\n"
    assert forks._server() is not ended
