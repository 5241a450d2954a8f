"""A training whose loss is no number ends with a message, and its last step can be repeated."""

import re
from pathlib import Path

import pytest

from tests.tools.workplace import CONFIGS, Workplace

CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"


@pytest.mark.slow
def test_the_guards_file_is_repeated(workplace: Workplace, tmp_path: Path) -> None:
    message = workplace.refuse(
        *("train.py", CLASSIFIER, "--work-dir", tmp_path, "--no-validate", "--cfg-options"),
        *("optim_wrapper.optimizer.lr=1e20", "param_scheduler=[]", "train_dataloader.batch_size=5"),
        "optim_wrapper.clip_grad=None",
    )
    (file,) = tmp_path.glob("nan_*.pth")
    assert f"python tools/replay_nan.py {file}" in message
    assert " first in " in message
    assert "Files: " in message
    assert ".png" in message or ".jpg" in message or ".JPEG" in message
    finding = re.search(r"error: iteration \d+: (.*)\. Files: ", message)
    assert finding
    out = workplace.succeed("replay_nan.py", file)
    assert f"first: {finding[1]}" in out
    assert "backbone.stages.0.embed" in out
    assert "  <--" in out


def test_another_file_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    message = workplace.refuse("replay_nan.py", tmp_path / "none.pth")
    assert "none.pth cannot be read as what mmvan.NaNGuardHook writes" in message
