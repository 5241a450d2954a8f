"""A signal to the launcher ends a training with a checkpoint, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmvan.checkpoint.reading import read_checkpoint
from mmvan.engine.children import list_descendants
from tests.tools.workplace import CONFIGS, PROJECT, TIMEOUT, TOOLS, Workplace

CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"


@pytest.mark.slow
def test_all_processes_stop_after_the_same_iteration(workplace: Workplace, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = (
        *("--work-dir", str(tmp_path / "run"), "--no-validate", "--cfg-options"),
        *("train_dataloader.batch_size=5", "default_hooks.logger.interval=1"),
        "train_dataloader.num_workers=2",
    )
    with log.open("w") as stream:
        launcher = subprocess.Popen(
            [str(TOOLS / "dist_train.sh"), str(CLASSIFIER), "2", *options],
            cwd=workplace.root,
            env={
                **os.environ,
                "PYTHONPATH": str(PROJECT),
                "PYTHON": sys.executable,
                "OMP_NUM_THREADS": "1",
            },
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    deadline = time.monotonic() + TIMEOUT
    while "Epoch(train)" not in log.read_text() and launcher.poll() is None:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    family = list_descendants(launcher.pid)
    assert len(family) >= 6  # two processes with two loaders' workers each
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(TIMEOUT) == 143, log.read_text()
    time.sleep(0.5)
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    text = log.read_text()
    assert "Traceback" not in text
    assert text.count("SIGTERM: the run ends with status 143; --resume continues it") == 1
    newest = Path((tmp_path / "run" / "last_checkpoint").read_text())
    meta = read_checkpoint(newest)["meta"]
    assert newest.name == f"iter_{meta['iter']}.pth"
    assert f"[{meta['epoch'] + 1}][{meta['iter'] - 2 * meta['epoch']}/2]" in text
