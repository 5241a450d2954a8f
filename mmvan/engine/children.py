"""Commands that our command lines start: none of their processes outlives ours."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

# A launcher lets its processes finish an iteration and write a checkpoint.
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.05


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a command in a session of its own, and end all its processes when the block is left.

    In its own session, a Ctrl-C at the terminal reaches it through this process only, once.

    Args:
        command: The program and its arguments.
        **options: Of :class:`subprocess.Popen`.

    Yields:
        subprocess.Popen: The command's process.
    """
    process = subprocess.Popen(command, text=True, start_new_session=True, **options)
    try:
        yield process
    except BaseException:
        _end(process)
        raise
    if process.poll() is None:
        _end(process)


def end_on_sigterm() -> None:
    """Let SIGTERM leave the ``with`` blocks of a command line, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _leave)


def list_descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have.

    Args:
        pid: The number of the process.

    Returns:
        list[int]: Their numbers, parents first; none where there is no ``/proc``, as on macOS.
    """
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # It has just ended.
            # After the name, which may hold anything: state and parent (proc(5)).
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:  # It grows while it is gone through.
        found.extend(children.get(parent, ()))
    return found[1:]


def kill(pids: Iterable[int]) -> None:
    """End processes that may have ended already."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _end(process: "subprocess.Popen[str]") -> None:
    """Ask a command to end; later, or at another Ctrl-C, end all that it started."""
    family = [process.pid, *list_descendants(process.pid)]
    try:
        process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    finally:
        kill([*family, *list_descendants(process.pid)])
        process.wait()
