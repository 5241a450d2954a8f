import os
import subprocess

import mmengine.device
import pytest
import torch

from mmvan.engine import device
from mmvan.engine.device import check_gpu_count, choose_device
from mmvan.errors import DeviceError
from tests.forks import forked_python


@pytest.fixture(autouse=True)
def visible_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set, so that the variable is restored after code under test changed it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


def found(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(mmengine.device, "get_device", lambda: kind)


@pytest.mark.parametrize("kind", ("cpu", "cuda"))
def test_auto_takes_what_mmengine_finds(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    found(monkeypatch, kind)
    assert choose_device("auto") == kind
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_cpu_hides_the_gpus_before_mmengine_looks() -> None:
    code = (
        "import os; from mmvan.engine.device import choose_device;"
        "print(choose_device('cpu'), os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    run = subprocess.run([forked_python(), "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["cpu", "-1"]


def test_cpu_cannot_be_had_once_mmengine_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, "cuda")
    with pytest.raises(DeviceError, match="MMEngine has already chosen 'cuda'"):
        choose_device("cpu")


@pytest.mark.parametrize(
    ("cuda", "visible", "driver", "advice"),
    (
        (None, "0", None, "install a PyTorch built with CUDA"),
        ("12.8", "-1", "580.1", "unset CUDA_VISIBLE_DEVICES"),
        ("12.8", "0", None, "install the NVIDIA driver"),
        ("12.8", "0", "470.1", "driver is new enough for CUDA 12.8"),
    ),
)
def test_absent_gpu_says_what_was_found_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    cuda: str | None,
    visible: str,
    driver: str | None,
    advice: str,
) -> None:
    found(monkeypatch, "cpu")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(device, "_driver", lambda: driver)
    with pytest.raises(DeviceError) as error:
        choose_device("cuda")
    message = str(error.value)
    assert f"PyTorch {torch.__version__}" in message
    assert f"CUDA_VISIBLE_DEVICES='{visible}'" in message
    assert f"NVIDIA driver {driver or 'not found'}" in message
    assert advice in message


def test_gpu_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, "cuda")
    assert choose_device("cuda") == "cuda"


@pytest.mark.parametrize(("local_rank", "local_size"), ((0, 3), (2, 3), (5, 6)))
def test_more_processes_than_gpus(
    monkeypatch: pytest.MonkeyPatch, local_rank: int, local_size: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError) as error:
        check_gpu_count(local_rank, local_size)
    assert f"{local_size} processes on this node, but 2 GPU(s)" in str(error.value)
    assert "dist_train.sh CONFIG 2" in str(error.value)


def test_enough_gpus_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert check_gpu_count(1, 2) is None


def test_driver_is_read_from_the_kernel_or_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    version = tmp_path / "version"
    monkeypatch.setattr(device, "_DRIVER_VERSION", version)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert device._driver() == "/usr/bin/nvidia-smi"
    version.write_text("NVRM version: NVIDIA 580.1\nGCC version: 12\n")
    assert device._driver() == "NVRM version: NVIDIA 580.1"
