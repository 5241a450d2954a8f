"""Building, keeping and loading the C file.

It is compiled for the processor at hand, in about a second, and kept in the user's cache under a
name that says what it was made from. It links against libgomp by the name under which PyTorch's
own copy is loaded already, so that both share one pool of threads.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

SOURCE = Path(__file__).with_name("depthwise.c")
FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=fast",  # Fused multiply-add across statements, which standard C forbids.
    "-fopenmp",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
)
COMPILE_SECONDS = 120


class BuildError(RuntimeError):
    """The operators cannot be built here; the message says why."""


@functools.cache
def load_library() -> ctypes.CDLL:
    """The compiled operators.

    Raises:
        BuildError: No compiler, or one that fails.
    """
    if platform.system() != "Linux":
        raise BuildError(f"the C operators are built on Linux alone, this is {platform.system()}")
    compiler = _find_compiler()
    library = _cache_dir() / f"depthwise-{_fingerprint(compiler)}.so"
    try:
        if library.is_file():
            with suppress(OSError):  # Cut off, or of another machine that shares the folder.
                return ctypes.CDLL(str(library))
        _compile(compiler, library)
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise BuildError(f"{library}: {error}") from error


def _find_compiler() -> list[str]:
    """The compiler and its own arguments: ``CC`` may be "ccache gcc", as for make."""
    asked = os.environ.get("CC", "").strip()
    try:
        choices = [shlex.split(asked)] if asked else [["cc"], ["gcc"], ["clang"]]
    except ValueError as error:
        raise BuildError(f"CC={asked} is no command line: {error}") from error
    for name, *arguments in choices:
        found = shutil.which(name)
        if found is not None:
            return [found, *arguments]
    names = ", ".join(command[0] for command in choices)
    raise BuildError(f"no C compiler: looked for {names} (CC names another one)")


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "mmvan", "native")


def _fingerprint(compiler: list[str]) -> str:
    """Changes with the source, the compiler and the processor, for which -march=native builds."""
    cpu = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    kind = [line for line in cpu if line.startswith(("model name", "flags", "Features"))]
    version = _run(*compiler, "--version").stdout
    parts = (SOURCE.read_text(), *FLAGS, *compiler[1:], version, platform.machine(), *kind)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _compile(compiler: list[str], library: Path) -> None:
    library.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may build at once: each moves its own finished file into place.
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        built = Path(folder, library.name)
        command = [*compiler, *FLAGS, str(SOURCE), "-o", str(built)]
        run = _run(*command)
        if run.returncode:
            raise BuildError(f"{' '.join(command)} failed:\n{run.stderr.strip()[-2000:]}")
        built.replace(library)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{command[0]} took longer than {COMPILE_SECONDS} s") from error
