"""Packages that only exporting needs."""

import subprocess
import sys

import pytest

from mmvan.deploy.packages import need, openvino_core
from mmvan.errors import DeployError

# Two models that end in the order in which they began, and then a signal.
SIGNALLED = """
import signal
import numpy as np
import openvino
from openvino import opset13
from mmvan.deploy.packages import openvino_core

def compiled():
    images = opset13.parameter([1, 4], np.float32)
    model = openvino.Model([opset13.relu(images)], [images], "relu")
    return openvino_core("the test").compile_model(model, "CPU")

first, second = compiled(), compiled()
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_missing_package_is_named_with_what_needs_it() -> None:
    with pytest.raises(DeployError, match=r"--format x needs no_such_package.*mmvan\[deploy\]"):
        need("no_such_package", "--format x")


def test_openvino_has_one_core() -> None:
    assert openvino_core("the test") is openvino_core("another")


def test_signals_are_handled_after_models_of_openvino_ended() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")
