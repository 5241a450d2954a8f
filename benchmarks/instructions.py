"""A CPU's instructions: those that a table was measured with, and how fewer are emulated."""

import os
from pathlib import Path

import torch

from mmvan.errors import ConfigError

AVX2 = "cpu-avx2"  # The device of a table that was measured with AVX2 alone.
# What limits a CPU with AVX-512, in the order: PyTorch's kernels and the choice of torch.compile,
# oneDNN in PyTorch and in OpenVINO, MKL, and what the C++ compiler of torch.compile may use.
SWITCHES = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "TORCHINDUCTOR_CPP_MARCH": "haswell",
}
# Forms that no switch limits: MLAS chooses its kernels by the CPU alone, as OpenVINO does the
# precision it takes when left to itself, and as `-march=native` builds our operators in C.
NOT_EMULATED = ("*ONNX Runtime*", "*OpenVINO default", "native")


def table_device(device: str) -> str:
    """The device that a table names: that of PyTorch, or :data:`AVX2`."""
    alone = torch.backends.cpu.get_cpu_capability() == "AVX2"
    return AVX2 if device == "cpu" and alone else device


def has_avx512() -> bool:
    """Whether the processor has AVX-512, however the libraries are limited."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "avx512f" in info.read_text().split()


def is_switched() -> bool:
    """Whether this process was started with :data:`SWITCHES`."""
    return all(os.environ.get(name) == value for name, value in SWITCHES.items())


def is_emulated(device: str) -> bool:
    """Whether a CPU with AVX-512 is limited to AVX2.

    Raises:
        ConfigError: PyTorch is limited, and another library is not.
    """
    if not has_avx512() or table_device(device) != AVX2:
        return False
    if not is_switched():
        found = ", ".join(f"{name}={os.environ.get(name, '')}" for name in SWITCHES)
        raise ConfigError(
            f"PyTorch is limited to AVX2, and not every other library is: {found}. Unset them, or "
            "let --isa avx2 set all"
        )
    return True
