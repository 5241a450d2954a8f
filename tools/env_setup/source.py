"""The source tree that mmcv is built from: kept between calls, and fitted to torch's C++."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from env_setup.pins import package_name
from env_setup.shell import SetupError, Shell, say

STANDARD = re.compile(r"-std=c\+\+(\d+)")


def prepare_source(shell: Shell, requirement: str, cxx: int, folder: Path) -> Path:
    """Returns the unpacked source archive of a requirement.

    A tree that is there already is used as it is: an interrupted build goes on in it.

    Args:
        shell: runs pip.
        requirement: exact, such as `mmcv==2.1.0`.
        cxx: the C++ standard that torch's headers ask for, such as 20.
        folder: where the tree is kept; it belongs to one torch, Python and device.

    Raises:
        SetupError: the archive is not to be had, or does not look as expected.
    """
    name = package_name(requirement)
    ready = folder / "ready"
    if ready.exists():
        say(f"goes on with the build in {folder}")
        return folder / ready.read_text(encoding="utf-8")
    archives = folder / "archive"
    options = ("--no-deps", "--no-build-isolation", "--no-binary", name, "-d", archives)
    shell.pip("mmcv-source", "download", *options, requirement)
    with tarfile.open(next(archives.glob("*.tar.gz"))) as archive:
        root = archive.getnames()[0].partition("/")[0]
        _extract(archive, folder)
    raise_standard(folder / root, cxx)
    ready.write_text(root, encoding="utf-8")
    return folder / root


def raise_standard(tree: Path, cxx: int) -> None:
    """Lets `setup.py` ask for the C++ standard of torch's headers, and labels the version.

    The standard is a fixed text in mmcv's `setup.py`, and nvcc refuses a second one: it cannot be
    set from outside. Nothing is changed where the standard is new enough.

    Args:
        tree: the unpacked archive.
        cxx: such as 20.

    Raises:
        SetupError: the archive names no standard.
    """
    named = named_standard(tree)
    if named >= cxx:
        return
    path = tree / "setup.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(STANDARD.sub(f"-std=c++{cxx}", source), encoding="utf-8")
    label_version(tree / "setup.cfg", f"cxx{cxx}")
    say(
        f"torch's headers need C++{cxx} and mmcv says C++{named}: its setup.py is changed in "
        f"that word alone, and the wheel labelled +cxx{cxx}"
    )


def named_standard(tree: Path) -> int:
    """Returns the newest C++ standard that `setup.py` names, such as 17.

    Raises:
        SetupError: it names none.
    """
    path = tree / "setup.py"
    found = {int(standard) for standard in STANDARD.findall(path.read_text(encoding="utf-8"))}
    if not found:
        raise SetupError(f"{path} names no C++ standard: the one of torch cannot be set")
    return max(found)


def label_version(path: Path, label: str) -> None:
    """Adds a local label to the version that the wheel will have (`2.1.0+cxx20`).

    Raises:
        SetupError: there is no empty `tag_build` to put it in.
    """
    text, count = re.subn(r"(?m)^tag_build *=[ ]*$", f"tag_build = +{label}", path.read_text())
    if count != 1:
        raise SetupError(f"{path} has no empty tag_build: the changed version cannot be labelled")
    path.write_text(text, encoding="utf-8")


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks, with the filter against paths that lead elsewhere where this Python has it."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:
        archive.extractall(folder)
