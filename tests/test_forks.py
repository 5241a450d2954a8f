"""A command in a fork finds what a new process would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import forks
from tests.forks import forked_python, run_python

SAYS = """
import os, sys, tempfile
print(tempfile.gettempdir())
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
    variables = {"WORD": "w", "PYTHONPATH": "/added", "TMPDIR": str(tmp_path / "here")}
    for command in (("../here/says.py", "a b"), ("-m", "says", "--x"), ("-c", SAYS, "-m")):
        done = run(*command, cwd=tmp_path / "cwd", **variables)
        real, by_program = (
            subprocess.run(
                [program, *command],
                cwd=tmp_path / "cwd",
                env={"PATH": os.environ["PATH"], **variables},
                input="",
                capture_output=True,
                text=True,
                check=False,
            )
            for program in (sys.executable, forked_python())
        )
        for one in (done, by_program):
            assert (one.returncode, one.stdout, one.stderr) == (3, real.stdout, real.stderr)
        assert done.stdout.startswith(f"{tmp_path / 'here'}\n")
        assert done.stderr == "imported early: []\n"


def test_errors_and_signals_end_as_usual(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("1 / 0")
    done = run("wrong.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    (tmp_path / "killed.py").write_text("import os; os.kill(os.getpid(), 9)")
    assert run("killed.py", cwd=tmp_path).returncode == -9
    assert subprocess.run([forked_python(), "killed.py"], cwd=tmp_path).returncode == -9


SLEEPS = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"


def start_program() -> tuple[subprocess.Popen[str], int]:
    """The program that asks, and the process that it asked for."""
    process = subprocess.Popen(
        [forked_python(), "-u", "-c", SLEEPS], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_the_program_passes_signals_on_while_another_one_runs() -> None:
    (first, one), (second, two) = start_program(), start_program()
    assert len({first.pid, one, second.pid, two}) == 4
    second.terminate()
    assert second.wait(30) == -signal.SIGTERM
    assert Path(f"/proc/{one}").exists()
    first.kill()
    first.wait(30)
    wait_for_the_end_of(one)


def wait_for_the_end_of(process: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_takes_too_long_is_ended_and_the_next_command_runs(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        run_python("sleeps.py", cwd=tmp_path, environment={}, timeout=0.5)
    (tmp_path / "draws.py").write_text("import numpy; print(numpy.random.rand())")
    first, second = (run("draws.py", cwd=tmp_path) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout != second.stdout


def test_a_server_ends_with_its_commands_and_is_replaced(tmp_path: Path) -> None:
    ended = forks._server()
    program, command = start_program()
    assert ended.process.stdin is not None
    ended.process.stdin.close()  # As if this process had been killed.
    assert ended.process.wait(30) == 0
    assert program.wait(30) == 1
    wait_for_the_end_of(command)
    (tmp_path / "says.py").write_text("print(1)")
    assert run("says.py", cwd=tmp_path).stdout == "1\n"
    assert forks._server() is not ended
