"""Writing is stopped at every step: there is always a checkpoint, and always the same end."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from mmengine.hooks import CheckpointHook
from torch import Tensor

from mmvan.engine import checkpoint_hook, storage
from mmvan.engine.latest import latest_checkpoint
from tests.engine.test_loops import make_runner

LOOP = "mmvan.IterBasedTrainLoop"
INTERVAL = 4  # The run saves behind iterations 4, 8, 12 and 15, and validates nothing.
KEPT = 1
KILLS = 24  # Spread evenly over all lines of a save; each takes half a second.
# Where a save is prepared, written, entered in the books, and older ones are removed.
WATCHED = (
    storage.__file__,
    checkpoint_hook.__file__,
    sys.modules[CheckpointHook.__module__].__file__,
)


class KillAtLine:
    """Kills this process at the n-th line of the watched files, counted while armed.

    Args:
        number: Of the line; the process lives if fewer are executed.
    """

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


class CountLines(KillAtLine):
    """Counts the lines of the watched files instead."""

    def __init__(self) -> None:
        super().__init__(0)

    @property
    def count(self) -> int:
        return -self.left


def train(folder: Path, **hook: Any) -> None:
    settings = {"max_keep_ckpts": KEPT, "by_epoch": False, "interval": INTERVAL, **hook}
    checkpoint = {"type": "mmvan.CheckpointHook", **settings}
    latest = latest_checkpoint(str(folder))
    runner = make_runner(
        folder,
        LOOP,
        default_hooks={"checkpoint": checkpoint},
        resume=latest is not None,
        load_from=latest,
    )
    runner.train()


def in_a_process(work: Callable[[], None]) -> int:
    """Do something in a process of its own; returns its status as ``os.waitpid`` gives it."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def end_of(folder: Path) -> dict[str, Tensor]:
    checkpoint = torch.load(folder / "iter_15.pth", weights_only=True)
    moments = checkpoint["optimizer"]["state"]
    flat = {f"{n}.{key}": value for n, state in moments.items() for key, value in state.items()}
    return {**checkpoint["state_dict"], **flat}


def assert_ends_alike(folder: Path, expected: dict[str, Tensor]) -> None:
    """What is left can be resumed, and its end has the same bits."""
    assert latest_checkpoint(str(folder)) is not None
    assert in_a_process(lambda: train(folder)) == 0
    found = end_of(folder)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    files = {file.name for file in folder.iterdir() if file.is_file() and file.suffix != ".py"}
    assert files == {"iter_15.pth", "last_checkpoint"}
    assert (folder / "last_checkpoint").read_text() == str(folder / "iter_15.pth")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    # Not in a process of its own: all that are forked later find the frameworks imported, which
    # would take each of them ten times as long as the training.
    train(folder)
    return end_of(folder)


@pytest.fixture(scope="module")
def begun(uninterrupted: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped behind its first checkpoint."""
    folder = tmp_path_factory.mktemp("begun")
    assert in_a_process(lambda: train_and_stop(folder, 2)) == signal.SIGKILL
    assert [file.name for file in folder.glob("*.pth")] == ["iter_4.pth"]
    return folder


def train_and_stop(folder: Path, saves: int, line: int = 1) -> None:
    """Train, and be killed at some line of a save, counted from 1."""
    train_and_watch(folder, saves, KillAtLine(line))


def train_and_watch(folder: Path, saves: int, watcher: KillAtLine) -> None:
    """Train, with each line of a save told to somebody."""
    original = checkpoint_hook.CheckpointHook._write
    done = 0

    def write(hook: Any, *args: Any) -> None:
        nonlocal done
        done += 1
        sys.settrace(watcher if done == saves else None)
        try:
            original(hook, *args)
        finally:
            sys.settrace(None)

    checkpoint_hook.CheckpointHook._write = write  # type: ignore[method-assign]
    train(folder)


def lines_of_a_save(folder: Path) -> int:
    def count() -> None:
        watcher = CountLines()
        train_and_watch(folder, 1, watcher)
        (folder / "lines.txt").write_text(str(watcher.count))

    assert in_a_process(count) == 0
    return int((folder / "lines.txt").read_text())


def copied(begun: Path, folder: Path) -> Path:
    shutil.copytree(begun, folder)
    return folder


@pytest.mark.slow
def test_killed_throughout_a_save(
    begun: Path, uninterrupted: dict[str, Tensor], tmp_path: Path
) -> None:
    """Before, within and behind the file, its name, ``last_checkpoint`` and the removal."""
    lines = lines_of_a_save(copied(begun, tmp_path / "counted"))
    assert lines > 2 * KILLS
    left: set[tuple[str, ...]] = set()
    for kill in range(KILLS):
        folder = copied(begun, tmp_path / str(kill))
        line = 1 + kill * (lines - 1) // (KILLS - 1)  # The first, the last, and some between.
        assert in_a_process(lambda f=folder, n=line: train_and_stop(f, 1, n)) == signal.SIGKILL  # type: ignore[misc]
        left.add(tuple(sorted(file.name for file in folder.glob("*.pth"))))
        assert_ends_alike(folder, uninterrupted)
    # Without the new file, with both, and when the older one was removed.
    assert left == {("iter_4.pth",), ("iter_4.pth", "iter_8.pth"), ("iter_8.pth",)}


@pytest.mark.parametrize("share", (0.0, 0.5, 0.99))
def test_killed_in_the_middle_of_the_file(
    share: float, begun: Path, uninterrupted: dict[str, Tensor], tmp_path: Path
) -> None:
    folder = copied(begun, tmp_path / "run")
    size = int(share * (folder / "iter_4.pth").stat().st_size)

    def train_with_a_limit() -> None:
        # The kernel writes up to the limit and then kills; Python would have ignored the signal.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        limit_the_size_of_checkpoints(size)
        train(folder)

    assert in_a_process(train_with_a_limit) & 0x7F == signal.SIGXFSZ
    assert [file.name for file in folder.glob("*.pth")] == ["iter_4.pth"]
    assert len(list(folder.glob(".*.part"))) == 1
    assert_ends_alike(folder, uninterrupted)


def limit_the_size_of_checkpoints(size: int) -> None:
    """Limit what this process writes into one file, from its next checkpoint on; not the log."""
    original = storage.write_atomically

    def write(file: Path, content: bytes) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            original(file, content)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    storage.write_atomically = write


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of 200 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only who may mount a file system can test a full disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(folder: Path) -> Path:
    """Leave 10 KiB on a disk: enough for a log, too little for a checkpoint."""
    filler = folder / "filler"
    with filler.open("wb") as stream:
        stream.write(bytes(max(shutil.disk_usage(folder).free - 10 * 1024, 0)))
    return filler


def logs(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.rglob("*.log"))


def test_a_full_disk_keeps_the_earlier_checkpoint_and_the_run(
    small_disk: Path, begun: Path, uninterrupted: dict[str, Tensor], tmp_path: Path
) -> None:
    folder = copied(begun, tmp_path / "run")
    saved = copied(begun, small_disk / "run")
    filler = fill(small_disk)

    def train_onto_the_small_disk() -> None:
        train(folder, out_dir=str(small_disk))

    shutil.copy(saved / "iter_4.pth", folder)
    assert in_a_process(train_onto_the_small_disk) == 0
    assert [file.name for file in saved.glob("*.pth")] == ["iter_4.pth"]
    assert not list(saved.glob(".*.part"))
    message = logs(folder)
    assert message.count("could not be written") == 3
    assert "No space left on device" in message
    assert "MiB are free" in message
    filler.unlink()
    assert_ends_alike(folder, uninterrupted)


def test_a_disk_that_becomes_read_only_keeps_the_earlier_checkpoint_and_the_run(
    small_disk: Path, begun: Path, tmp_path: Path
) -> None:
    folder = copied(begun, tmp_path / "run")
    saved = copied(begun, small_disk / "run")
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    assert in_a_process(lambda: train(folder, out_dir=str(small_disk))) == 0
    assert latest_checkpoint(str(saved)) == str(saved / "iter_4.pth")
    assert logs(folder).count("Read-only file system") == 3


def test_a_run_can_be_told_to_end_where_it_cannot_write(begun: Path, tmp_path: Path) -> None:
    folder = copied(begun, tmp_path / "run")

    def train_without_room() -> None:
        limit_the_size_of_checkpoints(100)
        try:
            train(folder, on_write_error="stop")
        except OSError:
            os._exit(7)

    assert os.waitstatus_to_exitcode(in_a_process(train_without_room)) == 7
    assert [file.name for file in folder.glob("*.pth")] == ["iter_4.pth"]
    assert not list(folder.glob(".*.part"))
