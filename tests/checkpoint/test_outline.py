import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmvan.checkpoint import outline
from mmvan.checkpoint.outline import check_checkpoint
from mmvan.errors import CheckpointError

WEIGHTS = {"weight": torch.arange(1000.0)}


def write_zip(path: Path) -> None:
    torch.save(WEIGHTS, path)


def write_legacy(path: Path) -> None:
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path) -> None:
    save_file(WEIGHTS, path, metadata={"format": "pt"})


def write_other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "text")


def write_bad_safetensors_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 8) + b"{broken}")


def write_safetensors_without_offsets(path: Path) -> None:
    header = b'{"a": {"dtype": "F32", "shape": [1]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


@pytest.mark.parametrize("write", (write_zip, write_legacy, write_safetensors))
def test_real_checkpoints_pass(tmp_path: Path, write: object) -> None:
    write(tmp_path / "weights.bin")
    assert check_checkpoint(str(tmp_path / "weights.bin"), "CHECKPOINT") is None


@pytest.mark.parametrize("address", ("https://host/a.pth", "s3://van", "hf://org/van"))
def test_addresses_are_left_to_their_loader(address: str) -> None:
    assert check_checkpoint(address, "CHECKPOINT") is None


@pytest.mark.parametrize("address", ("open-mmlab://van", "torchvision://resnet50", "mmcls://a"))
def test_addresses_that_nobody_checks_are_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        CheckpointError, match=r"without a safety check\. Give the https:// address"
    ):
        check_checkpoint(address, "load_from")
    monkeypatch.setattr(outline, "pickles_are_trusted", lambda: True)
    assert check_checkpoint(address, "load_from") is None


@pytest.mark.parametrize(
    ("content", "found"),
    (
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html>Not found</html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
        (b"epoch,loss\n1,0.5\n", "it begins with b'epoch,loss"),
        (pickle.dumps({"weight": [1.0]}), "it begins with"),
    ),
    ids=("empty", "html", "lfs", "text", "plain pickle"),
)
def test_other_content_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "van.pth"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"van\.pth is not a checkpoint") as error:
        check_checkpoint(str(file), "CHECKPOINT")
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("write", "found"),
    (
        (write_zip, "cut off after 2000 bytes"),
        (write_safetensors, "and has 2000"),
    ),
)
def test_truncated_files_are_found(tmp_path: Path, write: object, found: str) -> None:
    file = tmp_path / "van.pth"
    write(file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=found):
        check_checkpoint(str(file), "CHECKPOINT")


@pytest.mark.parametrize(
    ("write", "found"),
    (
        (write_other_zip, "holds word/document.xml"),
        (write_bad_safetensors_header, "header is not JSON"),
        (write_safetensors_without_offsets, "header is not JSON of the expected form"),
    ),
)
def test_other_containers_are_refused(tmp_path: Path, write: object, found: str) -> None:
    write(tmp_path / "van.pth")
    with pytest.raises(CheckpointError, match=found):
        check_checkpoint(str(tmp_path / "van.pth"), "CHECKPOINT")


def test_huge_safetensors_header_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "van.safetensors"
    file.write_bytes(struct.pack("<Q", 1 << 60) + json.dumps({}).encode())
    with pytest.raises(CheckpointError, match="the file has 10"):
        check_checkpoint(str(file), "CHECKPOINT")


def test_missing_file_lists_what_is_there(tmp_path: Path) -> None:
    write_zip(tmp_path / "epoch_12.pth")
    with pytest.raises(CheckpointError) as error:
        check_checkpoint(str(tmp_path / "epoch_13.pth"), "--resume")
    assert f"{tmp_path} holds epoch_12.pth. Did you mean epoch_12.pth?" in str(error.value)


def test_missing_directory_and_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no directory .*nowhere"):
        check_checkpoint(str(tmp_path / "nowhere" / "a.pth"), "--resume")
    with pytest.raises(CheckpointError, match=r"is a directory; it holds no \*.pth file"):
        check_checkpoint(str(tmp_path), "--resume")
