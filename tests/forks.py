"""Python commands in processes of their own, without the seconds in which they import PyTorch."""

import atexit
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.fork_client import ask, read_number

SERVER = Path(__file__).with_name("fork_server.py")
CLIENT = Path(__file__).with_name("fork_client.py")


def run_python(
    *arguments: str | Path, cwd: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` as ``subprocess.run`` does, where the process is not what is tested.

    Args:
        arguments: ``-m`` and a module, ``-c`` and a text, or a script, and what these receive.
        cwd: Where it runs.
        environment: All its variables.
        timeout: Seconds.

    Returns:
        subprocess.CompletedProcess[str]: With the standard output and error.

    Raises:
        subprocess.TimeoutExpired: If it took longer; it has been ended.
    """
    words = [str(word) for word in arguments]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        with Path(os.devnull).open() as nothing, out.open("a") as one, err.open("a") as two:
            streams = [stream.fileno() for stream in (nothing, one, two)]
            server = str(_server().socket)
            asking = ask(server, words, cwd=cwd, environment=environment, streams=streams)
        with asking:
            status = _wait(asking, words, timeout)
        return subprocess.CompletedProcess(
            [sys.executable, *words], status, out.read_text(), err.read_text()
        )


def forked_python() -> Path:
    """A program that runs Python commands in forks, for what starts them by itself.

    It has the streams and the status of the command and passes signals on; the process that works
    is not a child of it.
    """
    return _server().program


def forked_launch() -> dict[str, str]:
    """Environment variables of a launcher, torchrun's own among them, whose processes are forks."""
    program = str(forked_python())
    return {"PYTHON": program, "PYTHON_EXEC": program, "OMP_NUM_THREADS": "1"}


def _wait(asking: socket.socket, words: list[str], timeout: float) -> int:
    read_number(asking)
    asking.settimeout(timeout)
    try:
        return read_number(asking)
    except TimeoutError:
        asking.shutdown(socket.SHUT_WR)  # The server kills it.
        asking.settimeout(None)
        read_number(asking)
        raise subprocess.TimeoutExpired(words, timeout) from None


class _Server:
    """A process, and a folder with its socket and with the program that asks it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.socket = Path(self._folder.name, "socket")
        self.program = Path(self._folder.name, "python")
        words = shlex.join((sys.executable, "-S", "-E", str(CLIENT), str(self.socket)))
        self.program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        self.program.chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket))
            listener.listen()
            self.process = self._start(listener.fileno())
        atexit.register(self._end)

    def _start(self, listener: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        return subprocess.Popen(
            [sys.executable, str(SERVER), str(listener)],
            env=environment,
            stdin=subprocess.PIPE,  # Its end says that this process has ended.
            stdout=subprocess.DEVNULL,
            pass_fds=(listener,),
            start_new_session=True,  # Signals that tests send to their own group are not for it.
        )

    def _end(self) -> None:
        self.process.terminate()
        self.process.wait()


def _server() -> _Server:
    """One for each pytest worker, and another one should a test have ended it."""
    if not _SERVERS or _SERVERS[-1].process.poll() is not None:
        _SERVERS.append(_Server())
    return _SERVERS[-1]


_SERVERS: list[_Server] = []
