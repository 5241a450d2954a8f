"""What the system must offer before anything is installed, and the packages that bring it."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from env_setup.shell import SetupError, say

INSTALL = {  # The first one that is on PATH counts.
    "apt-get": "apt-get install",
    "dnf": "dnf install",
    "pacman": "pacman -S",
    "brew": "brew install",
}


@dataclass(frozen=True)
class Need:
    """Something that the system must offer.

    Attributes:
        name: for the reader.
        is_there: whether it is.
        packages: name of the package that brings it, by package manager; `{minor}` stands for
            Python's minor version.
        why: what does not work without it.
        required: whether nothing works without it.
    """

    name: str
    is_there: Callable[[], bool]
    packages: Mapping[str, str]
    why: str
    required: bool = True


def has_compiler() -> bool:
    """Whether a C++ compiler is on PATH."""
    return any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")))


def has_venv() -> bool:
    """Whether virtual environments with pip can be made; Debian splits this off Python."""
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def has_headers() -> bool:
    """Whether the headers of this Python are installed."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def has_libraries() -> bool:
    """Whether the libraries that OpenCV's wheels for Linux take from the system can be loaded."""
    try:
        for name in ("libGL.so.1", "libgthread-2.0.so.0") if sys.platform == "linux" else ():
            ctypes.CDLL(name)
    except OSError:
        return False
    return True


VENV = Need(
    "Python's venv module",
    has_venv,
    {"apt-get": "python3.{minor}-venv", "dnf": "python3", "pacman": "python", "brew": "python"},
    "the environment is made by it",
)
COMPILER = Need(
    "a C++ compiler",
    has_compiler,
    {"apt-get": "build-essential", "dnf": "gcc-c++", "pacman": "base-devel", "brew": "gcc"},
    "mmcv's operators are compiled",
)
HEADERS = Need(
    "Python's headers",
    has_headers,
    {
        "apt-get": "python3.{minor}-dev",
        "dnf": "python3-devel",
        "pacman": "python",
        "brew": "python",
    },
    "mmcv's operators are compiled",
)
LIBRARIES = Need(
    "libGL or GLib",
    has_libraries,
    {
        "apt-get": "libgl1 libglib2.0-0",
        "dnf": "mesa-libGL glib2",
        "pacman": "libglvnd glib2",
        "brew": "glib",
    },
    "OpenCV loads them",
)
MAKE = Need(
    "make",
    lambda: shutil.which("make") is not None,
    dict.fromkeys(INSTALL, "make"),
    "the short commands of the Makefile",
    required=False,
)
GIT = Need(
    "git",
    lambda: shutil.which("git") is not None,
    dict.fromkeys(INSTALL, "git"),
    "training logs then name no commit",
    required=False,
)


def require_system(compiles: bool) -> None:
    """Checks everything at once; what only would be good to have is told.

    Args:
        compiles: whether mmcv may have to be compiled.

    Raises:
        SetupError: something is missing; the message has the command that installs it.
    """
    needs = [VENV, *((COMPILER, HEADERS) if compiles else ()), LIBRARIES, MAKE, GIT]
    missing = [need for need in needs if not need.is_there()]
    if not missing:
        return
    if any(need.required for need in missing):
        raise SetupError(describe_missing(missing))
    say(describe_missing(missing))


def describe_missing(missing: Sequence[Need]) -> str:
    """Returns what is missing, why it is needed, and one command that installs it all."""
    lines = [f"missing: {need.name} ({need.why})" for need in missing]
    return "\n".join([*lines, f"to do: {install_command(missing)}"])


def install_command(missing: Sequence[Need]) -> str:
    """Returns the command for this system's package manager, or the packages of all known ones."""
    commands = {
        manager: " ".join([command, *_packages(missing, manager)])
        for manager, command in INSTALL.items()
    }
    for manager, command in commands.items():
        if shutil.which(manager):
            return command if manager == "brew" or _is_root() else f"sudo {command}"
    return "; or ".join(commands.values())


def _packages(missing: Sequence[Need], manager: str) -> list[str]:
    names = (need.packages[manager].format(minor=sys.version_info[1]) for need in missing)
    return list(dict.fromkeys(names))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
