import os
import time
from pathlib import Path

import pytest
from env_setup.shell import SetupError, Shell, advise, show_seconds


def test_run_returns_and_logs_the_output(shell: Shell) -> None:
    seen: list[str] = []
    code = "import os; print('one'); print(os.environ['EXTRA'])"
    output = shell.run("two", shell.python, "-c", code, env={"EXTRA": "2"}, on_line=seen.append)
    assert output == "one\n2\n" == (shell.logs / "two.log").read_text()
    assert seen == ["one\n", "2\n"]


def test_failure_names_command_status_log_and_last_lines(shell: Shell) -> None:
    code = "print(*range(30), sep='\\n'); raise SystemExit(7)"
    with pytest.raises(SetupError) as caught:
        shell.run("bad", shell.python, "-c", code)
    message = str(caught.value)
    assert str(shell.python) in message
    assert "exit status: 7" in message
    assert str(shell.logs / "bad.log") in message
    assert "  | 15\n" in message
    assert "  | 14\n" not in message
    assert "to do: " in message


def test_a_killed_command_tells_of_memory_and_long_lines_are_cut(shell: Shell) -> None:
    code = "import os; print('c++' + 'x' * 1000 + '.cpp', flush=True); os.kill(os.getpid(), 9)"
    with pytest.raises(SetupError) as caught:
        shell.run("bad", shell.python, "-c", code)
    message = str(caught.value)
    assert "exit status: -9 (Killed)\n" in message
    assert f"  | c++{'x' * 117} ... {'x' * 116}.cpp\n" in message
    assert message.endswith("to do: memory ran out: set MAX_JOBS=1")


def test_an_interrupted_command_ends_with_all_that_it_started(shell: Shell) -> None:
    code = (
        "import subprocess; child = subprocess.Popen(['sleep', '60']); "
        "print(child.pid, flush=True); child.wait()"
    )
    seen: list[int] = []

    def interrupt(line: str) -> None:
        seen.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell.run("build", shell.python, "-c", code, on_line=interrupt)
    assert is_gone(seen[0])


def is_gone(pid: int) -> bool:
    """Whether a process ends within a few seconds; a dead one that nobody waits for is a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("log", "advice"),
    (
        ("OSError: [Errno 28] No space left on device", "disk space"),
        ("NameResolutionError: Temporary failure in name resolution", "network"),
        ("ERROR: No matching distribution found for mmcv==9", "no such release"),
        ("The detected CUDA version (12.4) mismatches the version that was used", "CUDA toolkit"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "MAX_JOBS=1"),
        ("fatal error: Python.h: No such file or directory", "python3-dev"),
        ("Error: Command '-m ensurepip' returned non-zero", "python3-venv"),
        ("something else", "read the log"),
    ),
)
def test_advice_fits_the_log(log: str, advice: str) -> None:
    assert advice in advise(log)


def test_environment_keeps_foreign_packages_out(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    variables = shell.environment()
    assert "PYTHONPATH" not in variables
    assert variables["PATH"].startswith(str(shell.python.parent))
    assert variables["PIP_USER"] == "0"


def test_install_hands_all_constraints_to_pip(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(shell, "pip", lambda *arguments: calls.append(arguments))
    shell.constraints = ["numpy<2", "setuptools<82"]
    shell.install("packages", "mmdet")
    file = shell.logs / "constraints.txt"
    assert file.read_text() == "numpy<2\nsetuptools<82\n"
    assert calls == [("packages", "install", "-c", file, "mmdet")]


def test_check_tells_the_error_and_ignores_the_current_folder(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").touch()
    monkeypatch.chdir(tmp_path)
    assert shell.check("import sys; assert sys.argv[1] == 'x'", "x") is None
    assert shell.check("assert 0, 'told'") == "AssertionError: told"
    assert "only_here" in str(shell.check("import only_here"))
    assert shell.check("raise SystemExit(3)") == "exit status 3"


@pytest.mark.parametrize(
    ("seconds", "text"),
    ((4.24, "4.2 s"), (59.4, "59.4 s"), (60, "1 min 00 s"), (545, "9 min 05 s")),
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert show_seconds(seconds) == text
