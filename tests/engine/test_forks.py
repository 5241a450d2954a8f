"""A fork waits for threads that run."""

import hashlib
import os
import sys
import time
from threading import Thread

import pytest

from mmvan.engine import forks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what threads do")


def _computing(iterations: int) -> Thread:
    """A thread that works without holding the interpreter, for a second per some millions."""
    thread = Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"word", b"salt", iterations))
    thread.start()
    return thread


def test_it_waits_for_a_thread_that_computes() -> None:
    thread = _computing(1_000_000)
    start = time.monotonic()
    forks._wait_for_rest()
    assert time.monotonic() - start > 0.05
    thread.join()


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_MOST", 0.05)
    thread = _computing(4_000_000)
    forks._wait_for_rest()
    assert thread.is_alive()
    thread.join()


def test_sleeping_threads_are_no_reason_to_wait() -> None:
    thread = Thread(target=time.sleep, args=(1.5,))
    thread.start()
    forks._wait_for_rest()
    assert thread.is_alive()
    thread.join()


@pytest.mark.parametrize(("version", "count"), (((3, 11), 1), ((3, 12), 0)))
def test_it_is_registered_once_where_it_is_needed(
    version: tuple[int, int], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[object] = []
    monkeypatch.setattr(os, "register_at_fork", lambda before: registered.append(before))
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(forks, "_registered", False)
    forks.fork_at_rest()
    forks.fork_at_rest()
    assert registered == [forks._wait_for_rest] * count
