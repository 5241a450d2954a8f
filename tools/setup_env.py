#!/usr/bin/env python3
"""Sets up a virtual environment with everything that mmvan needs, mmcv's operators included.

    python3 tools/setup_env.py                    # the family that this Python can have
    python3 tools/setup_env.py --family official  # .venv, the official OpenMMLab packages
    python3 tools/setup_env.py --family onedl     # .venv-onedl, the maintained forks

What is installed, and why, stands in `pyproject.toml`. A second call returns at once unless
something changed. The standard library is enough to run this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from env_setup.family import VENVS, choose_family, use_supported_python
from env_setup.machine import Torch, probe_torch, require_disk
from env_setup.mmcv import MmcvRequest, choose_device, has_wheel, install_mmcv
from env_setup.pins import find_pin, read_project, select_pins
from env_setup.prerequisites import require_system
from env_setup.shell import SetupError, Shell, say, show_seconds
from env_setup.torchvision import install_torchvision

ROOT = Path(__file__).resolve().parent.parent
MMCV = {"official": "mmcv", "onedl": "onedl-mmcv"}
DISK_GIB = 4  # The CPU environment takes less than 3, unpacking and compiling about 1 more.


@dataclass(frozen=True)
class Options:
    """The command line; `parse_options` tells what each means."""

    family: str
    reason: str
    venv: Path
    torch: str | None
    torch_index: str | None
    wheelhouse: Path | None
    extras: tuple[str, ...]
    ops: str
    show_family: bool


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Reads the command line.

    Raises:
        SetupError: the wheelhouse is not a folder, or no Python here can have the family.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--family",
        choices=("auto", *sorted(VENVS)),
        default="auto",
        help="auto: official up to Python 3.12, else onedl",
    )
    parser.add_argument("--venv", type=Path, help="folder (default: .venv or .venv-onedl)")
    parser.add_argument("--torch", metavar="SPEC", help="another torch, such as torch==2.11.0")
    parser.add_argument("--torch-index", metavar="URL", help="additional package index for torch")
    parser.add_argument(
        "--wheelhouse",
        type=Path,
        default=os.environ.get("MMVAN_WHEELHOUSE") or None,
        help="folder of ready mmcv wheels (default: $MMVAN_WHEELHOUSE)",
    )
    parser.add_argument(
        "--extras", default="dev,mim,deploy", help="extras of pyproject.toml to install"
    )
    parser.add_argument(
        "--ops",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="mmcv's operators; auto: CUDA if torch has CUDA and nvcc or a GPU is there",
    )
    parser.add_argument(
        "--show-family", action="store_true", help="print the family that would be installed"
    )
    values = vars(parser.parse_args(arguments))
    use_supported_python(values["family"])
    values["family"], values["reason"] = choose_family(values["family"], sys.version_info[1])
    values["venv"] = (values["venv"] or ROOT / VENVS[values["family"]]).absolute()
    values["extras"] = tuple(filter(None, values["extras"].split(",")))
    if values["wheelhouse"] and not values["wheelhouse"].is_dir():
        raise SetupError(
            f"the wheelhouse {values['wheelhouse']} is not a folder: correct --wheelhouse or "
            "MMVAN_WHEELHOUSE, or leave both out and mmcv is compiled"
        )
    return Options(**values)


def stamp(project: Mapping[str, Any], options: Options) -> str:
    """Returns a digest of everything that the environment depends on."""
    told = ("wheelhouse", "reason", "show_family")  # They change nothing that is installed.
    settings = {key: value for key, value in asdict(options).items() if key not in told}
    parts = [project, settings, sys.version_info[:2], ROOT]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for file in (
        ROOT / "setup.py",
        Path(__file__),
        *sorted(Path(__file__).parent.glob("env_setup/*.py")),
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class Setup:
    """The steps, in order. Each can be repeated.

    Args:
        options: the command line.
        project: the `project` table of `pyproject.toml`.
    """

    def __init__(self, options: Options, project: Mapping[str, Any]) -> None:
        self.options = options
        self.groups = (options.family, *options.extras)
        self.pins = select_pins(project, ("build", "torch", *self.groups), options.torch)
        self.dependencies = project["dependencies"]
        self.mmcv = find_pin(self.pins[options.family], MMCV[options.family])
        self.torch, self.torchvision = (
            find_pin(self.pins["torch"], name) for name in ("torch", "torchvision")
        )
        self.index = ("--extra-index-url", options.torch_index) if options.torch_index else ()
        pinned = [pin for group in ("build", *self.groups) for pin in self.pins[group]]
        self.shell = Shell(options.venv, pinned)

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """Returns titles and actions."""
        family = (
            f"{self.options.family} packages and {', '.join(self.options.extras) or 'no extras'}"
        )
        return [
            (f"virtual environment {self.options.venv}", self.make_venv),
            ("build tools", lambda: self.shell.install("build", *self.pins["build"])),
            (self.torch, self.install_torch),
            (f"{self.mmcv} with its operators", self.install_mmcv),
            (family, self.install_packages),
            (self.torchvision, self.install_torchvision),
            ("mmvan itself, editable", self.install_project),
            ("test of all parts by python -m mmvan.doctor", self.run_doctor),
        ]

    def require_system(self) -> None:
        """Checks what the system must offer, before anything long starts.

        Raises:
            SetupError: something is missing; the message has the command that installs it.
        """
        ready = has_wheel(self.mmcv, self.options.wheelhouse)
        require_system(compiles=not ready)

    def make_venv(self) -> None:
        """Creates the environment; one of another Python version, or a broken one, is replaced.

        Raises:
            SetupError: the folder is something else, or the disk is too small.
        """
        venv, version = self.options.venv, sys.version_info[:2]
        if self.shell.python.exists():
            if (
                self.shell.check(f"import sys, pip; assert sys.version_info[:2] == {version}")
                is None
            ):
                say("kept")
                return
            say(f"replaced: it does not run Python {version[0]}.{version[1]}")
        elif venv.exists() and any(venv.iterdir()):
            raise SetupError(
                f"{venv} is in use and is no virtual environment: choose another --venv"
            )
        require_disk(venv, DISK_GIB)
        outside = Path(tempfile.mkdtemp())  # `--clear` would take a log inside away.
        Shell(outside).run("venv", sys.executable, "-m", "venv", "--clear", venv)
        shutil.rmtree(outside)

    def install_torch(self) -> None:
        """Installs torch; from here on no dependency can exchange it."""
        self.shell.install("torch", *self.index, self.torch)
        torch = self.installed_torch
        self.shell.constraints.append(f"torch=={torch.release}")
        say(f"torch {torch.version}, {len(torch.gpus)} GPU(s)")

    @cached_property
    def installed_torch(self) -> Torch:
        """What the torch in the environment says about itself."""
        return probe_torch(self.shell)

    def install_mmcv(self) -> None:
        """Finds or compiles mmcv."""
        device = choose_device(self.options.ops, self.installed_torch)
        request = MmcvRequest(self.mmcv, self.installed_torch, device, self.options.wheelhouse)
        install_mmcv(self.shell, request)

    def install_packages(self) -> None:
        """Installs the other packages of the family, the extras, and what mmvan itself needs."""
        pins = (pin for group in self.groups for pin in self.pins[group])
        self.shell.install("packages", *self.dependencies, *pins)

    def install_torchvision(self) -> None:
        """Installs torchvision, repacked if need be."""
        install_torchvision(self.shell, self.installed_torch, self.torchvision, self.index)

    def install_project(self) -> None:
        """Installs the working tree as an editable package."""
        self.shell.pip("mmvan", "install", "--no-deps", "--no-build-isolation", "-e", ROOT)

    def run_doctor(self) -> None:
        """Tests the environment and shows the result."""
        doctor = (self.shell.python, "-m", "mmvan.doctor")
        self.shell.run("doctor", *doctor, on_line=lambda line: print(line, end="", flush=True))


def run_steps(steps: Sequence[tuple[str, Callable[[], None]]]) -> None:
    """Runs the steps and shows how long each took.

    Raises:
        SetupError: a step failed; the message names it.
    """
    for number, (title, action) in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {title}", flush=True)
        start = time.monotonic()
        try:
            action()
        except SetupError as error:
            raise SetupError(f"step {number}/{len(steps)}, {title}\n{error}") from error
        say(f"done in {show_seconds(time.monotonic() - start)}")


def main() -> int:
    """Runs the setup; returns the exit status."""
    try:
        options = parse_options()
        if options.show_family:
            print(options.family)
            return 0
        project = read_project(ROOT / "pyproject.toml")
        mark, current = options.venv / "setup" / "stamp", stamp(project, options)
        if mark.exists() and mark.read_text(encoding="ascii") == current:
            print(f"{options.venv} is up to date ({options.family} family)")
            return 0
        mark.unlink(missing_ok=True)
        start = time.monotonic()
        print(options.reason, flush=True)
        setup = Setup(options, project)
        setup.require_system()
        run_steps(setup.steps())
        mark.write_text(current, encoding="ascii")
    except SetupError as error:
        print(f"\nSetup failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on where this one stopped.", file=sys.stderr)
        return 130
    print(f"Ready in {show_seconds(time.monotonic() - start)}: . {options.venv}/bin/activate")
    return 0


def end_as_by_ctrl_c() -> None:
    """Lets a closed terminal and `kill` end the setup as Ctrl-C does: with what it started."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # As under nohup.
            signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    end_as_by_ctrl_c()
    sys.exit(main())
