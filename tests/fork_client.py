"""Asks a server of ``fork_server.py`` for a command; as a program, stands in for ``python``.

``fork_client.py SOCKET ARGUMENT...`` has the streams, the signals and the status of the command
``python ARGUMENT...``, which runs in a fork. It is short to start: it imports nothing large.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Where there are none, all processes are in the same.
NAMESPACE = Path("/proc/self/ns/net")
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def ask(
    server: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    streams: Sequence[int],
) -> socket.socket:
    """Have a command started, in the network of this process.

    Args:
        server: Path of the server's socket.
        arguments: What Python receives.
        cwd: Where it runs.
        environment: All its variables.
        streams: Files for its standard input, output and error.

    Returns:
        socket.socket: It tells the number of the process, and then its status. Where it is closed
        or shut down before, the process is killed with all that it started.
    """
    asking = socket.socket(socket.AF_UNIX)
    asking.connect(server)
    request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
    with contextlib.ExitStack() as opened:
        network = [opened.enter_context(NAMESPACE.open()).fileno()] if NAMESPACE.exists() else []
        socket.send_fds(asking, [b" "], [*streams, *network])
    asking.sendall(json.dumps(request).encode() + b"\n")
    return asking


def read_number(asking: socket.socket) -> int:
    """One answer.

    Raises:
        ConnectionError: If the server has ended.
    """
    line = b""
    while not line.endswith(b"\n"):
        more = asking.recv(1)
        if not more:
            raise ConnectionError("the server of forked commands has ended")
        line += more
    return int(line)


def main() -> None:
    server, *arguments = sys.argv[1:]
    environment = dict(os.environ)
    with ask(
        server, arguments, cwd=Path.cwd(), environment=environment, streams=range(3)
    ) as asking:
        child = read_number(asking)
        for number in _PASSED_ON:
            signal.signal(number, lambda passed, _: _pass_on(child, passed))
        status = read_number(asking)
    if status < 0:
        with contextlib.suppress(OSError):  # Of signals that are never handled.
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _pass_on(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # It has ended, and its status is on the way.
        os.kill(child, number)


if __name__ == "__main__":
    main()
