"""torch's headers, precompiled: reading them is most of the work of compiling a C++ file.

With g++ 12, a file of mmcv's operators takes 2 to 3 s of a core instead of 8.5.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from env_setup.machine import Torch
from env_setup.shell import SetupError, Shell, say

# As torch's build tool defines for every extension: a header with other ones would not be used.
DEFINES = ("-DTORCH_API_INCLUDE_EXTENSION_H", "-DTORCH_EXTENSION_NAME=_ext")


def precompile(shell: Shell, torch: Torch, flags: str, folder: Path) -> str:
    """Precompiles torch's headers in a folder and returns the flags by which g++ uses them.

    Nothing depends on it. g++ itself compares the options, and reads the headers as text if they
    differ. With another compiler, or after a failure, no flags are returned.

    Args:
        shell: runs the compiler.
        torch: the torch that is installed.
        flags: what C++ files are compiled with, the standard included.
        folder: where they are kept; what was compiled with them counts as older if they change.
    """
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    if not is_gcc(compiler):
        return ""
    header, ready = folder / "torch_types.h", folder / "torch_types.h.gch"
    if not ready.exists():
        header.write_text("#include <torch/types.h>\n", encoding="utf-8")
        part = folder / "torch_types.part"
        includes = [f"-I{torch.include}", f"-I{torch.include}/torch/csrc/api/include"]
        options = (*shlex.split(flags), "-fPIC", *DEFINES, *includes, "-x", "c++-header")
        try:
            shell.run("mmcv-headers", *compiler, *options, header, "-o", part)
        except SetupError:
            return ""
        part.replace(ready)
        say("torch's headers are precompiled")
    return f"-include {header}"


def is_gcc(compiler: list[str]) -> bool:
    """Whether a compiler is GCC; others refuse precompiled headers of other options."""
    if shutil.which(compiler[0]) is None:
        return False
    command = [*compiler, "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return "Free Software Foundation" in output
