"""Importing and using mmvan leaves the process as it was."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("process_state.py")


# In both layouts, so with each kind of operator that a CPU has.
USE = """
import mmvan, mmvan.checkpoint.layouts as layouts
for channels_last in (False, True):
    arch = {"embed_dims": [16], "depths": [1], "ffn_ratios": [2]}
    model = mmvan.VAN(arch, channels_last=channels_last)
    model.init_weights()
    model(torch.rand(1, 3, 64, 64))[0].sum().backward()
    state = {layouts.OFFICIAL.key(key): value for key, value in model.state_dict().items()}
    model.load_state_dict(state)
"""


def changes(code: str) -> dict[str, Any]:
    command = (sys.executable, SCRIPT, code)
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    changed: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return changed


@pytest.mark.parametrize(
    "code",
    ("import mmvan; mmvan.VAN", "import mmvan.models, mmvan.ops; mmvan.models.VAN('b0')"),
)
def test_nothing_but_the_new_address_is_there(code: str) -> None:
    changed = changes(code)
    before, after = changed.pop("loaders")
    if "VAN('b0')" in code:  # Weights are drawn.
        del changed["random"]
    assert changed == {}
    assert after == {**before, "hf://": "mmvan.checkpoint.schemes.load_from_hf"}


def test_building_computing_and_loading_draw_numbers_and_nothing_else() -> None:
    changed = changes(USE)
    assert changed.keys() == {"loaders", "random"}


def test_a_change_would_be_seen() -> None:
    code = "import os; torch.set_num_threads(3); os.environ['A_VARIABLE'] = '1'; os.umask(0o77)"
    assert set(changes(code)) == {"threads", "environment", "umask"}
