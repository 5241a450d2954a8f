from pathlib import Path

import pytest
import torch

from mmvan.engine.latest import latest_checkpoint
from mmvan.errors import CheckpointError


def test_latest_checkpoint_of_a_new_directory_is_none(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path)) is None


def test_latest_checkpoint_follows_a_moved_directory(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "epoch_2.pth")
    (tmp_path / "last_checkpoint").write_text("/gone/epoch_2.pth\n")
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "epoch_2.pth")


def test_damaged_latest_checkpoint_names_the_others(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "epoch_1.pth")
    damaged = tmp_path / "epoch_2.pth"
    damaged.write_bytes((tmp_path / "epoch_1.pth").read_bytes()[:100])
    (tmp_path / "last_checkpoint").write_text(str(damaged))
    with pytest.raises(CheckpointError, match="cut off") as error:
        latest_checkpoint(str(tmp_path))
    assert str(error.value).endswith(f"Name another one by --resume PATH: {tmp_path}/epoch_1.pth")
