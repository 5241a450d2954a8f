"""Signals are noted while a run trains, and end it at once before and after."""

import os
import signal
from collections.abc import Iterator

import pytest

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
