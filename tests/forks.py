"""Python commands in processes of their own, without the seconds in which they import PyTorch."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")


def run_python(
    *arguments: str | Path, cwd: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` as ``subprocess.run`` does, where the process is not what is tested.

    Args:
        arguments: ``-m`` and a module or a script, and what these receive.
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
        request = {"arguments": words, "cwd": str(cwd), "environment": dict(environment)}
        for file in (out, err):
            file.touch()
        status = _ask({**request, "out": str(out), "err": str(err)}, timeout)
        return subprocess.CompletedProcess(
            [sys.executable, *words], status, out.read_text(), err.read_text()
        )


def _ask(request: Mapping[str, object], timeout: float) -> int:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(request).encode() + b"\n")
    child = int(server.stdout.readline())
    ended: list[object] = []
    try:
        ended, _, _ = select.select([server.stdout], [], [], timeout)
    finally:
        if not ended:  # Or whoever runs the tests has interrupted them.
            os.killpg(child, signal.SIGKILL)
    status = int(server.stdout.readline())
    if not ended:
        raise subprocess.TimeoutExpired(str(request["arguments"]), timeout)
    return status


def _server() -> subprocess.Popen[bytes]:
    """One for each pytest worker, and another one should a test have ended it."""
    if not _SERVERS or _SERVERS[-1].poll() is not None:
        _SERVERS.append(_start())
    return _SERVERS[-1]


def _start() -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    server = subprocess.Popen(
        [sys.executable, str(SERVER)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # What is in a buffer, select does not see.
        start_new_session=True,  # Signals that tests send to their own group are not for it.
    )
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait()


_SERVERS: list[subprocess.Popen[bytes]] = []
