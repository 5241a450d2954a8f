"""Running commands inside the environment: output in log files, failures with advice."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ADVICE = (  # What a log says, and what to do about it; the first match counts.
    (r"No space left on device", "free some disk space, or set TMPDIR to a larger disk"),
    (
        r"name resolution|Connection(Error|RefusedError)|NewConnectionError|Network is unreachable"
        r"|Read timed out|ProxyError|Max retries",
        "check the network, the proxy and the package index (`pip config list`), or name a folder "
        "of wheels by PIP_FIND_LINKS",
    ),
    (
        r"No matching distribution|Could not find a version",
        "the package index has no such release for this Python: try `make PYTHON=python3.11`",
    ),
    (
        r"detected CUDA version .* mismatches",
        "install the CUDA toolkit of torch's CUDA version, or choose torch by --torch and "
        "--torch-index",
    ),
    (r"\bKilled\b|out of memory|cc1plus.*terminated", "memory ran out: set MAX_JOBS=1"),
    (r"Python\.h", "install Python's headers (Debian: apt install python3-dev)"),
    (
        r"ensurepip|No module named venv",
        "install Python's venv module (Debian: apt install python3-venv)",
    ),
)


class SetupError(Exception):
    """A step that failed; the message says what and what to do."""


def say(text: str) -> None:
    """Prints a remark under the current step."""
    print(f"      {text}", flush=True)


def show_seconds(seconds: float) -> str:
    """Writes a duration as `4.2 s` or `9 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def advise(log: str) -> str:
    """Returns what to do about a failure."""
    for pattern, advice in ADVICE:
        if re.search(pattern, log):
            return advice
    return "read the log; once that is fixed, the same command goes on where this one stopped"


def shorten(line: str, length: int = 240) -> str:
    """Returns a line with its middle left out if it is longer, as a compiler's command is."""
    half = length // 2
    return line if len(line) <= length else f"{line[:half]} ... {line[-half:]}"


def describe_failure(arguments: Sequence[str], status: int, log: Path, output: str) -> str:
    """Returns the message about a failed command, with the last 15 lines that it printed."""
    tail = "".join(f"  | {shorten(line)}\n" for line in output.splitlines()[-15:])
    ended = f"{status} ({signal.strsignal(-status)})" if status < 0 else str(status)
    return (
        f"command: {shlex.join(arguments)}\nexit status: {ended}\nlog: {log}, which ends\n{tail}"
        f"to do: {advise(f'{output} {ended}')}"
    )


def end(process: subprocess.Popen[str]) -> None:
    """Ends a command and all that it started: first as Ctrl-C does, because pip then clears up.

    Compilers that went on alone would work in the tree in which the next setup goes on.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


class Shell:
    """Runs commands in the environment and keeps what they print.

    Args:
        venv: folder of the environment.
        constraints: requirements that hold for every installation.
    """

    def __init__(self, venv: Path, constraints: Sequence[str] = ()) -> None:
        self.python = venv / "bin" / "python"
        self.logs = venv / "setup"
        self.constraints = list(constraints)

    def environment(self) -> dict[str, str]:
        """Returns the variables for commands, without what would leak into the environment."""
        variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        paths = f"{self.python.parent}{os.pathsep}{variables.get('PATH', '')}"
        return {**variables, "PATH": paths, "PIP_USER": "0", "PIP_NO_INPUT": "1"}

    def run(
        self,
        name: str,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> str:
        """Runs a command.

        Args:
            name: name of the log file, without its ending.
            command: program and arguments.
            env: additional environment variables.
            on_line: is given each line of output as it comes.

        Returns:
            The last 200 lines of output.

        Raises:
            SetupError: the command failed.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        lines: deque[str] = deque(maxlen=200)
        arguments = [str(argument) for argument in command]
        with log.open("w", encoding="utf-8", buffering=1) as file:
            process = subprocess.Popen(
                arguments,
                env={**self.environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # So that `end` reaches all that the command starts.
            )
            try:
                for line in process.stdout or ():
                    file.write(line)
                    lines.append(line)
                    on_line(line)
            except BaseException:
                end(process)
                raise
        output = "".join(lines)
        if status := process.wait():
            raise SetupError(describe_failure(arguments, status, log, output))
        return output

    def pip(self, name: str, *arguments: str | Path, **options: Any) -> str:
        """Runs pip; arguments as in `run`."""
        return self.run(name, self.python, "-m", "pip", *arguments, **options)

    def install(self, name: str, *requirements: str) -> None:
        """Installs requirements and what they depend on, under the constraints."""
        self.logs.mkdir(parents=True, exist_ok=True)
        file = self.logs / "constraints.txt"
        file.write_text("\n".join([*self.constraints, ""]), encoding="utf-8")
        self.pip(name, "install", "-c", file, *requirements)

    def check(self, code: str, *arguments: str) -> str | None:
        """Runs Python code; returns None if it succeeded, else the last line of its error."""
        self.logs.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            [self.python, "-c", code, *arguments],
            env=self.environment(),
            cwd=self.logs,  # Else Python would import from a source tree in the current folder.
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode == 0:
            return None
        return (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
