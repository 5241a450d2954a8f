"""What the machine offers: disk, memory, compilers, and the torch that is installed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from env_setup.prerequisites import COMPILER, has_compiler, install_command
from env_setup.shell import SetupError, Shell

PROBE = r"""
import importlib.metadata, json, pathlib, re, torch
packages = pathlib.Path(torch.__file__).parents[1]
header = packages / 'torch/include/torch/csrc/api/include/torch/all.h'
asked = re.search(r'__cplusplus < 20(\d\d)', header.read_text()) if header.exists() else None
gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
print(json.dumps({'version': torch.__version__, 'release': importlib.metadata.version('torch'),
    'cuda': torch.version.cuda, 'gpus': [torch.cuda.get_device_capability(i) for i in gpus],
    'built_for': torch._C._cuda_getArchFlags() if torch.version.cuda else '',
    'cxx': int(asked[1]) if asked else 17, 'include': str(packages / 'torch/include'),
    'cuda_headers': sorted(map(str, packages.glob('nvidia/*/include')))}))
"""


@dataclass(frozen=True)
class Torch:
    """The installed torch.

    Attributes:
        version: with the local label, such as `2.13.0+cu130`.
        release: what pip knows it as; PyPI's CUDA build has no label there (`2.13.0`).
        cuda: such as `13.0`; None for a build without CUDA.
        gpus: compute capability of each visible GPU, such as `[[8, 0]]`.
        built_for: architectures inside, such as `sm_80 sm_90 compute_120`.
        cxx: the C++ standard that its headers ask for, such as 17.
        include: folder of its headers.
        cuda_headers: folders with headers of the CUDA libraries that were installed with it.
    """

    version: str
    release: str
    cuda: str | None
    gpus: list[list[int]]
    built_for: str
    cxx: int = 17
    include: str = ""
    cuda_headers: list[str] = field(default_factory=list)


def probe_torch(shell: Shell) -> Torch:
    """Asks the installed torch."""
    output = shell.run("torch-probe", shell.python, "-c", PROBE)
    return Torch(**json.loads(output.splitlines()[-1]))


def cuda_archs(torch: Torch) -> str:
    """Returns TORCH_CUDA_ARCH_LIST: the GPUs that are here, else all that torch was built for."""
    if chosen := os.environ.get("TORCH_CUDA_ARCH_LIST"):
        return chosen
    here = {(major, minor) for major, minor in torch.gpus}
    known = re.findall(r"(?:sm|compute)_(\d+)(\d)\b", torch.built_for)
    archs = sorted(here or {(int(major), int(minor)) for major, minor in known})
    return ";".join(f"{major}.{minor}" for major, minor in archs)


def find_nvcc() -> str | None:
    """Returns the CUDA compiler, looked for where torch looks: CUDA_HOME, PATH, /usr/local/cuda."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        return shutil.which("nvcc", path=f"{home}/bin")
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def nvcc_release(nvcc: str) -> str:
    """Returns the CUDA version of a CUDA compiler, such as `13.0`, or an empty string."""
    output = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"release (\d+\.\d+)", output)
    return found.group(1) if found else ""


def require_compilers(cuda: str | None) -> None:
    """Raises SetupError if a compiler that mmcv needs is missing, or is of another CUDA.

    Args:
        cuda: the CUDA version of torch, such as `13.0`, if operators for it are compiled.
    """
    if not has_compiler():
        raise SetupError(
            "mmcv must be compiled and there is no C++ compiler: install one "
            f"({install_command([COMPILER])}), or put a ready wheel into the folder that "
            "MMVAN_WHEELHOUSE names"
        )
    if cuda is None:
        return
    nvcc = find_nvcc()
    if nvcc is None:
        raise SetupError(
            "torch has CUDA and a GPU is here, but without nvcc mmcv's CUDA operators cannot be "
            f"compiled: install the CUDA toolkit {cuda}, put a ready wheel into the folder that "
            "MMVAN_WHEELHOUSE names, or accept training on the CPU by --ops cpu"
        )
    release = nvcc_release(nvcc)
    if release.partition(".")[0] != cuda.partition(".")[0]:
        raise SetupError(
            f"torch is built for CUDA {cuda} and {nvcc} for CUDA {release or '(unknown)'}: "
            f"install the CUDA toolkit {cuda} and name it by CUDA_HOME, choose another torch by "
            "--torch and --torch-index, or accept training on the CPU by --ops cpu"
        )


def require_disk(venv: Path, gib: float) -> None:
    """Raises SetupError if less than `gib` is free where the environment will be."""
    folder = next(parent for parent in venv.parents if parent.exists())
    free = shutil.disk_usage(folder).free / 2**30
    if free < gib:
        raise SetupError(
            f"{folder} has {free:.1f} GiB free and the environment needs {gib}: free some, or "
            "put it elsewhere by --venv"
        )


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> float:
    """Returns the free memory in GiB, or infinity where the system does not tell."""
    with contextlib.suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
        if found:
            return int(found.group(1)) / 2**20
    return float("inf")


def max_jobs(cores: int, free_gib: float, gib_per_job: float) -> int:
    """Returns how many compilers may run side by side."""
    return int(max(1, min(cores, free_gib / gib_per_job)))


def supported_pythons(minors: Sequence[int]) -> list[str]:
    """Returns the interpreters on PATH of these minor versions of Python 3, in their order.

    Each is started once: a version manager leaves names on PATH for versions that it has not
    activated.
    """
    found = filter(None, (shutil.which(f"python3.{minor}") for minor in minors))
    command = ("-c", "import ensurepip, venv")
    return [p for p in found if not subprocess.run([p, *command], capture_output=True).returncode]
