"""Reading files: what is whole and harmless is read, everything else is refused."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mmvan.checkpoint import reading
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.checkpoint.schemes import load_from_local
from mmvan.errors import CheckpointError
from tests.checkpoint.attacks import ATTACKS, nested_call, plain_call
from tests.forks import forked_python

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}


def equal(state_dict: dict[str, Tensor]) -> bool:
    same = [torch.equal(state_dict[key], WEIGHTS[key]) for key in WEIGHTS]
    return state_dict.keys() == WEIGHTS.keys() and all(same)


@pytest.mark.parametrize("name", ("w.pth", "w.pth.tar", "w.bin", "w.pt", "w.safetensors", "w"))
@pytest.mark.parametrize("old_format", (False, True))
def test_the_content_decides_not_the_name(tmp_path: Path, name: str, old_format: bool) -> None:
    torch.save(WEIGHTS, tmp_path / name, _use_new_zipfile_serialization=not old_format)
    assert equal(read_checkpoint(tmp_path / name))
    save_file(WEIGHTS, tmp_path / name)
    assert equal(read_checkpoint(str(tmp_path / name))["state_dict"])


@pytest.mark.parametrize("wrapper", ("state_dict", "model", "state_dict_ema"))
def test_wrapped_weights_are_found(tmp_path: Path, wrapper: str) -> None:
    torch.save({wrapper: WEIGHTS, "epoch": 3}, tmp_path / "w.pth")
    checkpoint = read_checkpoint(tmp_path / "w.pth")
    assert equal(checkpoint["state_dict"])
    assert checkpoint["epoch"] == 3


def test_metadata_of_safetensors_are_read(tmp_path: Path) -> None:
    metadata = {"arch": "b0", "dataset_meta": '{"classes": ["cat", "dog"]}'}
    save_file(WEIGHTS, tmp_path / "w.safetensors", metadata=metadata)
    meta = read_checkpoint(tmp_path / "w.safetensors")["meta"]
    assert meta == {"arch": "b0", "dataset_meta": {"classes": ["cat", "dog"]}}


def test_metadata_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.safetensors", metadata={"dataset_meta": "{"})
    with pytest.raises(CheckpointError, match="the entry dataset_meta of its metadata is not JSON"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_a_container_that_contains_itself_is_read(tmp_path: Path) -> None:
    loop: list[object] = []
    loop.append(loop)
    torch.save({"state_dict": WEIGHTS, "loop": loop}, tmp_path / "w.pth")
    assert equal(read_checkpoint(tmp_path / "w.pth")["state_dict"])


def test_what_is_no_dict_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="holds a list; expected a state dict"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.smoke
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("read", (read_checkpoint, load_from_local))
def test_attacks_are_refused_by_name_and_nothing_runs(
    attack: Callable[[Path, Path], None], read: Callable[[str], object], tmp_path: Path
) -> None:
    file, mark = tmp_path / "van.pth", tmp_path / "mark"
    attack(file, mark)
    with pytest.raises(CheckpointError, match=re.escape(str(file))) as error:
        read(str(file))
    assert re.search(ATTACKS[attack], str(error.value)), error.value
    assert not mark.exists()


def test_the_number_of_attacks() -> None:
    assert len(ATTACKS) == 18


def test_a_truncated_file_of_the_old_format_is_damaged(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "w.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=r"w\.pth is damaged"):
        read_checkpoint(tmp_path / "w.pth")


def test_the_attacks_would_run_without_the_check(tmp_path: Path) -> None:
    nested_call(tmp_path / "van.pth", tmp_path / "mark")
    torch.load(tmp_path / "van.pth", weights_only=False)
    assert (tmp_path / "mark").exists()


def test_only_trust_reads_them(tmp_path: Path) -> None:
    plain_call(tmp_path / "van.pth", tmp_path / "mark")
    code = (
        "import sys; from mmvan.checkpoint.reading import read_checkpoint; "
        "from mmvan.checkpoint.trust import trust_pickles; "
        "trust_pickles(); read_checkpoint(sys.argv[1])"
    )
    run = subprocess.run(
        [forked_python(), "-c", code, tmp_path / "van.pth"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "mark").exists()
    assert "can execute any code" in run.stdout + run.stderr
    assert "holds a int" in run.stderr


def test_old_torch_is_warned_of_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines: list[str] = []
    monkeypatch.setattr(reading, "print_log", lambda line, **_: lines.append(line))
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    reading._warn_of_old_torch.cache_clear()
    torch.save(WEIGHTS, tmp_path / "w.pth")
    for _ in range(2):
        read_checkpoint(tmp_path / "w.pth")
    assert [line for line in lines if "CVE-2026-24747" in line] == lines
    assert len(lines) == 1
    reading._warn_of_old_torch.cache_clear()
