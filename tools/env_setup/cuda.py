"""The CUDA toolkit, as torch's headers and build tools need it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from env_setup.machine import Torch
from env_setup.shell import SetupError, say

# What torch's `ATen/cuda/CUDAContextLight.h` includes beside the headers that come with nvcc.
LIBRARY_HEADERS = ("cusparse.h", "cublas_v2.h", "cublasLt.h", "cusolverDn.h")


def cuda_environment(nvcc: str, torch: Torch) -> dict[str, str]:
    """Returns the variables by which a build finds the toolkit and the headers of its libraries.

    A toolkit may be nvcc and little more. The headers that it lacks are then taken from the
    libraries that PyPI's torch brings along.

    Args:
        nvcc: path of the CUDA compiler.
        torch: the torch that is installed.

    Raises:
        SetupError: headers are neither here nor there.
    """
    home = cuda_home(nvcc)
    set_paths = os.environ.get("CPATH", "").split(os.pathsep)
    missing = missing_headers([f"{home}/include", *filter(None, set_paths)])
    if not missing:
        return {"CUDA_HOME": home}
    absent = missing_headers(torch.cuda_headers)
    if lost := [name for name in missing if name in absent]:
        raise SetupError(
            f"the CUDA toolkit {home} has no {', '.join(lost)}, which torch's headers include: "
            f"install the development files of the CUDA {torch.cuda} libraries, name another "
            "toolkit by CUDA_HOME, or accept training on the CPU by --ops cpu"
        )
    say(f"{home} has no {', '.join(missing)}: taken from what came with torch")
    folders = [f for f in torch.cuda_headers if any(Path(f, name).is_file() for name in missing)]
    return {"CUDA_HOME": home, "CPATH": os.pathsep.join([*filter(None, set_paths), *folders])}


def missing_headers(folders: Sequence[str]) -> list[str]:
    """Returns the headers of CUDA libraries that none of these folders has."""
    return [n for n in LIBRARY_HEADERS if not any(Path(f, n).is_file() for f in folders)]


def cuda_home(nvcc: str) -> str:
    """Returns the toolkit of a CUDA compiler.

    torch takes the folder above the one that nvcc lies in. That is another one if a link or a
    script leads to nvcc, as `/usr/local/bin/nvcc` may.
    """
    if home := os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
        return home
    command = [nvcc, "--dryrun", "unread.cu"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    told = re.search(r"(?m)^#\$ TOP=(.+)$", output)
    if told and Path(told.group(1), "include", "cuda_runtime.h").is_file():
        return str(Path(told.group(1)).resolve())
    return str(Path(nvcc).parent.parent)
