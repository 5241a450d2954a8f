"""The signals that ask a run to end, what they are noted by, and the status that each leads to.

Handlers are installed by ``tools/train.py``, or by ``mmvan.SignalHook`` where a config asks for it;
nowhere else. While a run trains they only note what arrived: a handler runs between any two
instructions, also in the middle of writing a checkpoint.
"""

import ctypes
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

# sysexits.h: EX_TEMPFAIL, "the user is invited to retry".
REQUEUE_STATUS = 75
# SIGUSR1 is the warning before a time limit, as by Slurm's --signal: the run wants to go on. The
# others are somebody's wish that it ends; 128 + number is the shells' status for them.
STATUSES: dict[int, int] = {
    signal.SIGINT: 128 + signal.SIGINT,
    signal.SIGTERM: 128 + signal.SIGTERM,
    signal.SIGUSR1: REQUEUE_STATUS,
}

# linux/prctl.h: the signal that a process gets when the thread that forked it ends.
_PR_SET_PDEATHSIG = 1


class StopSignals:
    """What asked this process to stop.

    Until :attr:`deferred` is set, a signal ends the process at once, with its status. From then on
    the first is noted for ``mmvan.SignalHook``; a second Ctrl-C ends the process at once.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.deferred = False
        self._previous: dict[int, Any] = {}
        self._forks_are_told = False
        # The C library, loaded before it is needed in a forked process, where that may block; and
        # who forks, if it is the main thread, which lives as long as the process.
        self._libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._parent: int | None = None

    def install(self) -> bool:
        """Handle the signals from now on; those that are ignored, as by nohup, stay so.

        Returns:
            bool: Whether this call installed the handlers: not if they are there already, nor
            outside the main thread, where Python cannot.
        """
        if self._previous or threading.current_thread() is not threading.main_thread():
            return False
        self.received = None
        for number in STATUSES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        if not self._forks_are_told:
            os.register_at_fork(before=self._note_parent, after_in_child=self._step_aside)
            self._forks_are_told = True
        return True

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous, self.deferred = {}, False

    def _handle(self, number: int, _: FrameType | None) -> None:
        again = self.received is not None and number == signal.SIGINT
        if not self.deferred or again:
            raise SystemExit(STATUSES[signal.Signals(number)])
        self.received = self.received or signal.Signals(number)
        # Slurm signals all processes of a job. PyTorch would raise an error, here and now, for
        # loaders' workers that end by it; what they have loaded is enough for this iteration.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _note_parent(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        self._parent = os.getpid() if is_main else None

    def _step_aside(self) -> None:
        """In a forked process, such as a loader's worker: leave the signals to the one that trains.

        A terminal and torchrun send them to whole groups of processes.
        """
        if not self._previous:
            return
        os.setpgid(0, 0)
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which its parent ends it
        self._end_with_parent()

    def _end_with_parent(self) -> None:
        """Be killed when the parent is, which then cannot end anybody.

        A loader's worker sees that by itself only while it waits for work: with a large batch that
        nobody fetches it would wait for ever.
        """
        if self._libc is None or self._parent is None:
            return
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:  # Killed in the meantime.
            os._exit(1)


STOP_SIGNALS = StopSignals()
