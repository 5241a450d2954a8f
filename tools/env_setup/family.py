"""Which family of OpenMMLab packages a Python can have, and which Python a family can have."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from env_setup.machine import supported_pythons
from env_setup.shell import SetupError

# Minor versions of Python 3, the best first. NumPy 1.26, which the official mmcv needs, has wheels
# up to Python 3.12. The forks run on NumPy 2.
MINORS = {"official": (12, 11, 10), "onedl": (13, 12, 11, 10, 14)}
VENVS = {"official": ".venv", "onedl": ".venv-onedl"}


def choose_family(asked: str, minor: int) -> tuple[str, str]:
    """Returns the family, and one line that says why it is that one.

    Args:
        asked: `official`, `onedl`, or `auto` for the official one where it can work.
        minor: the Python that runs, 3.`minor`.
    """
    if asked != "auto":
        return asked, f"{asked} packages, as asked for"
    if minor in MINORS["official"]:
        return "official", f"official packages (Python 3.{minor})"
    return "onedl", (
        "onedl packages, the maintained forks: the official ones need NumPy 1, which has no "
        f"wheels for Python 3.{minor}"
    )


def usable_minors(asked: str) -> tuple[int, ...]:
    """Returns the minor versions of Python that a family can have, the best first."""
    if asked != "auto":
        return MINORS[asked]
    return tuple(dict.fromkeys(minor for minors in MINORS.values() for minor in minors))


def use_supported_python(asked: str) -> None:
    """Starts anew under a Python that the family can have, if this one is none.

    Raises:
        SetupError: there is none on PATH.
    """
    minors = usable_minors(asked)
    if sys.version_info[0] == 3 and sys.version_info[1] in minors:
        return
    this = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    found = supported_pythons(minors)
    if not found:
        raise SetupError(_no_python(this, asked, minors))
    # Not on stdout, which the Makefile reads.
    print(f"{this} does not carry these packages: {found[0]} is used", file=sys.stderr, flush=True)
    os.execv(found[0], [found[0], *sys.argv])


def _no_python(this: str, asked: str, minors: Sequence[int]) -> str:
    names = ", ".join(f"python3.{minor}" for minor in sorted(minors))
    family = "mmvan" if asked == "auto" else f"the {asked} family"
    other = ""
    if asked == "official" and sys.version_info[1] in MINORS["onedl"]:
        other = ", or take the family that this Python carries: make FAMILY=onedl"
    return (
        f"{this} does not carry {family}, and PATH has none of {names} with a working venv "
        f"module: install one of them and name it by `make PYTHON=...`{other}"
    )
