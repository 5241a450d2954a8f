"""Lets a process fork only when its other threads do nothing.

With Python 3.11, ``os.fork`` does not wait for a thread that is about to enter Python from C++: it
holds a lock of the interpreter, and a process that is forked at that moment waits for it forever.
Gloo's threads enter Python after every collective operation, to let go of its tensors. So a worker
of a data loader that is forked right behind one may never begin, and the training waits for its
images without a word. Python 3.12 has fixed it (python/cpython issue 112275),
and so have the last releases of 3.10 and 3.11.
"""

import os
import sys
import time
from pathlib import Path

_STEP = 0.002  # Seconds, in which other threads get the interpreter.
_MOST = 1.0
_THREADS = Path("/proc/self/task")
_registered = False


def fork_at_rest() -> None:
    """Make every fork of this process wait, for 2 ms at least and 1 s at most.

    Only for processes whose own command this is: it holds for the rest of them.
    """
    global _registered  # There is no way to take it back.
    if not _registered and sys.version_info < (3, 12) and _THREADS.is_dir():
        os.register_at_fork(before=_wait_for_rest)
        _registered = True


def _wait_for_rest() -> None:
    end = time.monotonic() + _MOST
    while time.monotonic() < end:
        time.sleep(_STEP)
        if not _others_run():
            return


def _others_run() -> bool:
    """Whether another thread of this process runs, or waits for a page of memory."""
    own = str(os.getpid())  # The id of the main thread, from which loaders fork.
    return any(_state(file) in "RD" for file in _THREADS.iterdir() if file.name != own)


def _state(thread: Path) -> str:
    try:
        stat = (thread / "stat").read_text()
    except OSError:  # It has ended.
        return "X"
    return stat.rpartition(")")[2].split()[0]
