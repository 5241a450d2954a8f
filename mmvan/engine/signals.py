"""The signals that ask a run to end, what they are noted by, and the status that each leads to.

Handlers are installed by ``tools/train.py``, or by ``mmvan.SignalHook`` where a config asks for it;
nowhere else. While a run trains they only note what arrived: a handler runs between any two
instructions, also in the middle of writing a checkpoint.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any

# sysexits.h: EX_TEMPFAIL, "the user is invited to retry".
REQUEUE_STATUS = 75
# SIGUSR1 is the warning before a time limit, as by Slurm's --signal: the run wants to go on. The
# others are somebody's wish that it ends; 128 + number is the shells' status for them.
STATUSES = {
    signal.SIGINT: 128 + signal.SIGINT,
    signal.SIGTERM: 128 + signal.SIGTERM,
    signal.SIGUSR1: REQUEUE_STATUS,
}
# A loader's worker that is told to end together with its run is needed until the last iteration.
_WORKER_SECONDS = 60


class StopSignals:
    """What asked this process to stop.

    Until :attr:`deferred` is set, a signal ends the process at once, with its status. From then on
    the first is noted for ``mmvan.SignalHook``; a second Ctrl-C ends the process at once.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.deferred = False
        self._owner = 0
        self._previous: dict[signal.Signals, Any] = {}

    def install(self) -> bool:
        """Handle the signals from now on; those that are ignored, as by nohup, stay so.

        Returns:
            bool: Whether this call installed the handlers: not if they are there already, nor
            outside the main thread, where Python cannot.
        """
        if self._previous or threading.current_thread() is not threading.main_thread():
            return False
        self.received, self._owner = None, os.getpid()
        for number in STATUSES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return True

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous, self.deferred = {}, False

    def _handle(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._owner:
            _outlive(number)
            return
        again = self.received is not None and number == signal.SIGINT
        if not self.deferred or again:
            raise SystemExit(STATUSES[signal.Signals(number)])
        self.received = self.received or signal.Signals(number)


def _outlive(number: int) -> None:
    """What a forked process, such as a loader's worker, does with a signal for its whole group."""
    if number == signal.SIGTERM:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_WORKER_SECONDS)


STOP_SIGNALS = StopSignals()
