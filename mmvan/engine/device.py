"""The device a run uses, and why a GPU that was asked for cannot be used."""

import os
import shutil
from pathlib import Path

from mmvan.errors import DeviceError

DEVICES = ("auto", "cpu", "cuda")
_DRIVER_VERSION = Path("/proc/driver/nvidia/version")


def choose_device(requested: str) -> str:
    """Make MMEngine use the requested device.

    MMEngine takes a GPU whenever it sees one, and looks only once, when it is imported. So the GPUs
    are hidden by ``CUDA_VISIBLE_DEVICES`` where the CPU is wanted, and MMEngine is imported after.

    Args:
        requested: One of :data:`DEVICES`; ``auto`` is what MMEngine finds.

    Returns:
        str: The type of the device that the Runner will use, such as ``cpu`` or ``cuda``.

    Raises:
        DeviceError: The device is not there, or MMEngine has already settled on another one.
    """
    if requested == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from mmengine.device import get_device

    found = get_device()
    if requested == "cuda" and found != "cuda":
        raise DeviceError(_no_gpu_message())
    if requested == "cpu" and found != "cpu":
        raise DeviceError(
            f"--device cpu: MMEngine has already chosen {found!r} and cannot be moved. Hide that "
            "device from this process (for NVIDIA GPUs: CUDA_VISIBLE_DEVICES=-1) and start again."
        )
    return found


def check_gpu_count(local_rank: int, local_size: int) -> None:
    """Check that every process of this node has a GPU of its own.

    Args:
        local_rank: This process's number on its node, from 0.
        local_size: Processes on this node.

    Raises:
        DeviceError: There are fewer GPUs than processes.
    """
    import torch

    gpus = torch.cuda.device_count()
    if max(local_rank + 1, local_size) > gpus:
        raise DeviceError(
            f"{local_size} processes on this node, but {gpus} GPU(s) can be used "
            f"({_visible_devices()}). Start at most {gpus} per node, as in `tools/dist_train.sh "
            f"CONFIG {gpus}`, or run on the CPU by --device cpu. Under SLURM every task must see "
            "all GPUs of its node: --gres=gpu:N without --gpu-bind."
        )


def _no_gpu_message() -> str:
    import torch

    cuda = torch.version.cuda
    driver = _driver()
    build = f"built for CUDA {cuda}" if cuda else "built without CUDA"
    return (
        "--device cuda: no GPU can be used.\n"
        f"  found: PyTorch {torch.__version__} ({build}); {_visible_devices()}; "
        f"NVIDIA driver {driver or 'not found'}.\n"
        f"  do: {_advice(cuda, driver)}; or train on the CPU by --device cpu."
    )


def _advice(cuda: str | None, driver: str | None) -> str:
    if cuda is None:
        return "install a PyTorch built with CUDA (https://pytorch.org/get-started/locally)"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "unset CUDA_VISIBLE_DEVICES, which hides every GPU"
    if driver is None:
        return "install the NVIDIA driver, or start the container with its GPUs (--gpus all)"
    return (
        f"see whether nvidia-smi lists a GPU, and whether the driver is new enough for CUDA {cuda}"
    )


def _visible_devices() -> str:
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "CUDA_VISIBLE_DEVICES not set" if value is None else f"CUDA_VISIBLE_DEVICES={value!r}"


def _driver() -> str | None:
    if _DRIVER_VERSION.exists():
        return _DRIVER_VERSION.read_text().splitlines()[0]
    return shutil.which("nvidia-smi")
