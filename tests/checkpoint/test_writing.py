import os
from pathlib import Path

import pytest
import torch

from mmvan.checkpoint.reading import read_checkpoint
from mmvan.checkpoint.writing import ENDINGS, write_checkpoint
from mmvan.errors import CheckpointError

META = {"arch": "b0", "dataset_meta": {"classes": ("cat", "dog")}}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back(tmp_path: Path, ending: str) -> None:
    base = torch.arange(12.0).view(3, 4)
    weights = {"a": base.t(), "b": base[1], "shared": base, "n": torch.tensor(7)}
    file = tmp_path / "new" / f"van{ending}"
    write_checkpoint(file, weights, META)
    got = read_checkpoint(file)
    assert got["state_dict"].keys() == weights.keys()
    assert all(torch.equal(got["state_dict"][key], weights[key]) for key in weights)
    assert got["meta"]["arch"] == "b0"
    assert list(got["meta"]["dataset_meta"]["classes"]) == ["cat", "dog"]
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_bare_state_dict_has_nothing_beside_it(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "van.bin", {"a": torch.ones(1)}, META, wrapped=False)
    assert read_checkpoint(tmp_path / "van.bin").keys() == {"a"}


def test_a_failed_write_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "van.pth"
    file.write_bytes(b"old")

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(CheckpointError, match=r"van\.pth cannot be written: No space left"):
        write_checkpoint(file, {"a": torch.ones(1)}, {})
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("van.pth", b"old")]


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"van\.onnx: the ending must be one of \.safetensor"):
        write_checkpoint(tmp_path / "van.onnx", {}, {})
