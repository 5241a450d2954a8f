import signal
import sys
from collections.abc import Iterator

import pytest
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mmvan.engine import launch


@pytest.fixture(autouse=True)
def _own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the launcher's settings of its process end with the test."""
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "1")
    monkeypatch.setattr(sys, "argv", ["launch"])
    previous = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, previous)


def failing(status: int) -> object:
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=status, error_file="<N/A>")

    def main(_: list[str]) -> None:
        raise ChildFailedError("tools/train.py", {0: failure})

    return main


def test_user_error_keeps_its_status_without_a_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "main", failing(2))
    with pytest.raises(SystemExit) as status:
        launch.main()
    assert status.value.code == 2
    assert status.value.__suppress_context__


def test_other_failures_keep_torchruns_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "main", failing(1))
    with pytest.raises(ChildFailedError, match="exitcode"):
        launch.main()


@pytest.mark.parametrize(
    ("exit_code", "status"), ((75, 75), (143, 143), (-signal.SIGTERM, 143), (-signal.SIGUSR1, 75))
)
def test_processes_that_a_signal_ended_are_not_summarised(
    exit_code: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "main", failing(exit_code))
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == status


@pytest.mark.parametrize(("number", "status"), ((signal.SIGTERM, 143), (signal.SIGHUP, 129)))
def test_a_signal_that_torchrun_handles_is_the_status(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(_: list[str]) -> None:
        raise SignalException("got a signal", number)

    monkeypatch.setattr(run, "main", main)
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == status


def test_the_warning_before_a_limit_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "main", lambda _: signal.raise_signal(signal.SIGUSR1))
    with pytest.raises(SystemExit) as ended:
        launch.main()
    assert ended.value.code == 75


def test_a_hangup_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(run, "main", given.append)
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        launch.main()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup would have it ignored here too.
        launch.main()
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert given == [["--signals-to-handle", "SIGTERM,SIGINT,SIGQUIT"], []]
