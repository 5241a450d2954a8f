"""A shell that runs the interpreter of the tests but keeps its logs in a temporary folder."""

import sys
from pathlib import Path

import pytest
from env_setup.machine import Torch
from env_setup.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "venv")
    shell.python = Path(sys.executable)
    return shell


@pytest.fixture
def cpu_torch() -> Torch:
    return Torch("2.13.0+cpu", "2.13.0+cpu", None, [], "")


@pytest.fixture
def cuda_torch() -> Torch:
    return Torch(
        "2.13.0+cu130", "2.13.0", "13.0", [[8, 0], [9, 0], [8, 0]], "sm_80 sm_90 compute_120"
    )
