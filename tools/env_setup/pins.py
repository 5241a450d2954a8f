"""The project's requirements, read from `pyproject.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from env_setup.shell import SetupError


def read_project(path: Path) -> dict[str, Any]:
    """Returns the `project` table of a `pyproject.toml`.

    Raises:
        SetupError: nothing can read it.
    """
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        try:
            from pip._vendor import tomli as tomllib
        except ModuleNotFoundError as error:
            raise SetupError(
                "Python 3.10 reads pyproject.toml by means of pip, which is missing "
                "(Debian, Ubuntu: apt-get install python3-pip)"
            ) from error
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]


def package_name(requirement: str) -> str:
    """Returns the normalised package name of a requirement (`Foo_Bar>=1` -> `foo-bar`).

    Raises:
        SetupError: there is no name in it.
    """
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    if name is None:
        raise SetupError(f"{requirement!r} is not a requirement such as torch==2.13.0")
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def find_pin(requirements: Sequence[str], name: str) -> str:
    """Returns the requirement of a package.

    Raises:
        SetupError: there is none.
    """
    found = [item for item in requirements if package_name(item) == name]
    if not found:
        raise SetupError(f"pyproject.toml pins no {name} there; only {', '.join(requirements)}")
    return found[0]


def select_pins(
    project: Mapping[str, Any], extras: Sequence[str], torch: str | None
) -> dict[str, list[str]]:
    """Returns the requirements of each extra.

    Args:
        project: the `project` table.
        extras: names of extras.
        torch: the requirement that replaces the pinned torch, if any.

    Raises:
        SetupError: an extra is unknown.
    """
    known = project["optional-dependencies"]
    unknown = [name for name in extras if name not in known]
    if unknown:
        raise SetupError(f"unknown extra {unknown[0]!r}; pyproject.toml has {', '.join(known)}")
    pins = {name: list(known[name]) for name in extras}
    if torch:
        pins["torch"] = [torch, torchvision_for(torch)]
        pins = {name: free_triton(pinned) for name, pinned in pins.items()}
    return pins


def free_triton(requirements: Sequence[str]) -> list[str]:
    """Takes the pin off triton: another torch asks for its own release, if it is a CUDA build."""
    return ["triton" if package_name(item) == "triton" else item for item in requirements]


def torchvision_for(torch: str) -> str:
    """Returns the torchvision releases that serve a torch release: 0.(x + 15) for torch 2.x.

    From torch 2.14 on earlier ones serve too, which matters while there is none of its own yet.

    Sources: the compatibility table in torchvision's README (0.15 for 2.0 up to 0.24 for 2.9), and
    what the packages require: torch==2.13.0 for 0.28.0, torch>=2.14.0 for 0.29.2.

    Raises:
        SetupError: `torch` does not name a 2.x release.
    """
    release = re.fullmatch(r"torch==2\.(\d+)(\.\d+)?(\+\S+)?", torch.replace(" ", ""))
    if release is None:
        raise SetupError(f"--torch {torch!r} is not of the form torch==2.13.0")
    minor = int(release.group(1)) + 15
    return f"torchvision>=0.29,<0.{minor + 1}" if minor >= 29 else f"torchvision==0.{minor}.*"
