"""What a command has started ends with it, also what has left its group."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmvan.engine import children
from mmvan.engine.children import end_on_sigterm, list_descendants, started

# Like torchrun, it starts a process in a session of its own.
FAMILY = ["bash", "-c", "setsid sleep 600 & sleep 600 & echo up; wait"]
STUBBORN = ["bash", "-c", "trap '' TERM; setsid sleep 600 & echo up; while :; do sleep 0.1; done"]


def alive(pids: list[int]) -> list[int]:
    """Those that run; ended ones may wait for their parent."""
    states = {pid: Path(f"/proc/{pid}/stat") for pid in pids}
    return [
        pid
        for pid, stat in states.items()
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    ]


@pytest.mark.parametrize("reason", (KeyboardInterrupt, SystemExit, RuntimeError))
@pytest.mark.parametrize("command", (FAMILY, STUBBORN), ids=("family", "stubborn"))
def test_an_exception_ends_all(
    reason: type[BaseException], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_GRACE_SECONDS", 0.2)
    family: list[int] = []

    def interrupted() -> None:
        with started(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            family.extend([process.pid, *list_descendants(process.pid)])
            raise reason

    with pytest.raises(reason):
        interrupted()
    assert len(family) >= 2
    time.sleep(0.1)
    assert not alive(family)


def test_a_command_that_ends_by_itself_keeps_its_status() -> None:
    with started(["bash", "-c", "exit 3"]) as process:
        assert process.wait() == 3


def test_descendants_are_listed_parents_first() -> None:
    with started(["bash", "-c", "bash -c 'sleep 600; :'; :"]) as process:
        deadline = time.monotonic() + 20
        while len(list_descendants(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        inner, sleep = list_descendants(process.pid)
        assert list_descendants(inner) == [sleep]


def test_sigterm_leaves_the_blocks_of_a_command_line() -> None:
    previous = signal.getsignal(signal.SIGTERM)
    try:
        end_on_sigterm()
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert ended.value.code == 143


@pytest.mark.parametrize(("number", "status"), ((signal.SIGTERM, 143), (signal.SIGINT, -2)))
def test_a_signal_to_the_demo_ends_what_it_runs(number: int, status: int, tmp_path: Path) -> None:
    code = (
        "from mmvan.cli import demo; from pathlib import Path\n"
        f"demo.end_on_sigterm(); demo.run_logged({FAMILY!r}, Path({str(tmp_path / 'log')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    log, deadline = tmp_path / "log", time.monotonic() + 60
    while len(list_descendants(process.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    family = list_descendants(process.pid)
    assert len(family) >= 3, log.read_text() if log.exists() else "not started"
    process.send_signal(number)
    assert process.wait(30) == status
    assert not alive(family)
