"""Signals are noted while a run trains, and end it at once before and after."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from mmvan.engine.signals import REQUEUE_STATUS, STATUSES, StopSignals


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    signals = StopSignals()
    assert signals.install()
    yield signals
    signals.restore()


@pytest.mark.parametrize("number", STATUSES)
def test_a_signal_before_training_ends_the_process(signals: StopSignals, number: int) -> None:
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(number)
    assert ended.value.code == STATUSES[number]
    assert signals.received is None


@pytest.mark.parametrize("number", STATUSES)
def test_in_training_it_is_noted_and_the_first_counts(signals: StopSignals, number: int) -> None:
    signals.deferred = True
    for each in (number, signal.SIGTERM, signal.SIGUSR1):
        signal.raise_signal(each)
    assert signals.received == number


def test_a_second_ctrl_c_ends_at_once(signals: StopSignals) -> None:
    signals.deferred = True
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGINT)
    assert ended.value.code == 130


def test_the_statuses_are_those_of_the_shells_and_of_sysexits() -> None:
    assert REQUEUE_STATUS == os.EX_TEMPFAIL
    assert STATUSES == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 75}


def test_earlier_handlers_come_back_and_ignored_signals_stay_ignored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    previous = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signals = StopSignals()
    try:
        assert signals.install()
        assert not signals.install()
        assert signal.getsignal(signal.SIGTERM) == signals._handle
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        signals.restore()
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signals.restore()
        signal.signal(signal.SIGUSR1, previous)


def test_a_forked_process_leaves_the_group_and_the_signals(signals: StopSignals) -> None:
    signals.deferred = True
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        alone = os.getpgrp() == os.getpid()
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        os.write(writing, bytes([alone, ignored, default]))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 3) == bytes([1, 1, 1])
    os.close(reading)
    os.close(writing)


class Large(torch.utils.data.Dataset[bytes]):
    """Samples that no pipe holds, so that a worker waits until they are fetched."""

    def __getitem__(self, index: int) -> bytes:
        return bytes(10**6)

    def __len__(self) -> int:
        return 100


def has_ended(pid: int, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's end")
def test_loader_workers_do_not_outlive_a_killed_process(signals: StopSignals) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        batches = iter(DataLoader(Large(), num_workers=1, collate_fn=bytes, batch_size=None))
        next(batches)
        worker = batches._workers[0].pid  # type: ignore[attr-defined]
        os.write(writing, str(worker).encode())
        time.sleep(60)
        os._exit(0)
    worker = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    assert not has_ended(worker, 0.2)  # It waits.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    ended = has_ended(worker, 3)
    if not ended:
        os.kill(worker, signal.SIGKILL)  # Or it would outlive the tests.
    assert ended


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's end")
def test_what_a_thread_forks_outlives_the_thread(signals: StopSignals) -> None:
    forked: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
        forked.append(pid)

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert os.waitpid(forked[0], os.WNOHANG) == (0, 0)
    os.kill(forked[0], signal.SIGKILL)
    os.waitpid(forked[0], 0)
