"""Runs `cases.py` in a process of its own and counts what passed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CASES = Path(__file__).with_name("cases.py")
ROOT = CASES.parents[3]


@pytest.mark.slow
def test_the_operators_compute_what_pytorch_computes() -> None:
    """On a CUDA GPU for real, elsewhere by Triton's interpreter; nothing is left out."""
    environment = os.environ | {"TRITON_INTERPRET": "0" if torch.cuda.is_available() else "1"}
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:logging", CASES)
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    (summary,) = re.findall(r"^(\d+ passed.*) in ", run.stdout, re.MULTILINE)
    assert summary == "49 passed"
