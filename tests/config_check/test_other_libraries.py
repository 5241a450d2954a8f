"""The libraries' own configs have nothing to be found but their own slips."""

import importlib
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvan.config_check import find_problems

# What is found in them is right: weights to be filled in by the user, and keys that nothing reads.
SLIPS = re.compile(r"init_cfg\.checkpoint is ''; |paramwise_cfg\._delete is read|models is read by")
STEP = 15


def complete(path: Path) -> Config | None:
    """A config that trains; None for other files, and those whose packages are not there."""
    try:
        cfg = Config.fromfile(path)
    except (ImportError, OSError, RuntimeError, KeyError):
        return None
    needed = ("model", "default_scope", "train_dataloader", "train_cfg", "val_evaluator")
    return cfg if all(cfg.get(key) for key in needed) else None


@pytest.mark.parametrize("library", ("mmpretrain", "mmdet", "mmseg"))
def test_nothing_is_found_in_configs_that_train(library: str) -> None:
    root = Path(importlib.import_module(library).__file__ or "").parent / ".mim" / "configs"
    files = sorted(path for path in root.rglob("*.py") if "_base_" not in path.parts)[::STEP]
    checked = 0
    for path in files:
        cfg = complete(path)
        if cfg is not None:
            checked += 1
            found = list(find_problems(cfg, ("train", "val", "test")))
            assert [text for text in found if not SLIPS.search(text)] == [], path
    print(f"{library}: {checked} of {len(files)} sampled configs are complete")
    assert checked > len(files) // 2
