"""The checkpoint that is continued from: the newest one whose checksums hold."""

from pathlib import Path

import pytest
import torch

from mmvan.engine import latest
from mmvan.engine.latest import latest_checkpoint
from mmvan.errors import CheckpointError


def save(folder: Path, name: str, iteration: int) -> Path:
    torch.save({"meta": {"iter": iteration}, "state_dict": {"a": torch.ones(99)}}, folder / name)
    return folder / name


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr(latest, "print_log", lambda line, _: logged.append(line))
    return logged


def test_there_is_none_in_a_new_directory(tmp_path: Path) -> None:
    assert latest_checkpoint(str(tmp_path)) is None


def test_the_iteration_decides_whatever_the_pointer_says(tmp_path: Path, lines: list[str]) -> None:
    save(tmp_path, "epoch_9.pth", 90)
    newest = save(tmp_path, "iter_95.pth", 95)
    save(tmp_path, "best_acc_epoch_10.pth", 100)
    save(tmp_path, ".iter_200.pth", 200)
    for pointer in ("/gone/epoch_9.pth", "", "epoch_9.pth"):
        (tmp_path / "last_checkpoint").write_text(pointer)
        assert latest_checkpoint(str(tmp_path)) == str(newest)
    assert lines == []


def flip(file: Path, at: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * at)] ^= 1
    file.write_bytes(content)


def test_a_damaged_one_is_passed_over_with_a_line(tmp_path: Path, lines: list[str]) -> None:
    sound = save(tmp_path, "epoch_1.pth", 10)
    flipped, cut_off = save(tmp_path, "epoch_2.pth", 20), save(tmp_path, "epoch_3.pth", 30)
    content = flipped.read_bytes()
    at = content.index(torch.ones(9).numpy().tobytes()) + 5
    flip(flipped, at / len(content))
    cut_off.write_bytes(cut_off.read_bytes()[:700])
    assert latest_checkpoint(str(tmp_path)) == str(sound)
    (line,) = lines
    assert line.startswith(f"--resume: {sound} is taken; passed over: epoch_3.pth, ")
    assert "; epoch_2.pth, the checksum of " in line


def test_nothing_but_damaged_ones_is_an_error(tmp_path: Path) -> None:
    save(tmp_path, "epoch_1.pth", 10).write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"can be used: epoch_1\.pth, .*--resume PATH"):
        latest_checkpoint(str(tmp_path))


def test_a_pointer_to_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_text("/gone/epoch_2.pth")
    with pytest.raises(CheckpointError, match=r"names /gone/epoch_2\.pth, but there is no"):
        latest_checkpoint(str(tmp_path))


def test_the_folder_that_last_checkpoint_names_is_searched(tmp_path: Path) -> None:
    """CheckpointHook's out_dir."""
    work_dir, out_dir = tmp_path / "work", tmp_path / "out"
    work_dir.mkdir()
    out_dir.mkdir()
    for number in (1, 2):
        torch.save({"meta": {"iter": number}}, out_dir / f"epoch_{number}.pth")
    (work_dir / "last_checkpoint").write_text(str(out_dir / "epoch_1.pth"))
    assert latest_checkpoint(str(work_dir)) == str(out_dir / "epoch_2.pth")


def test_another_storage_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_text("s3://bucket/epoch_1.pth")
    assert latest_checkpoint(str(tmp_path)) == "s3://bucket/epoch_1.pth"
