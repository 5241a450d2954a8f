"""Schedules for a run of another length."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import MultiStepLR

from mmvan.config_check.nodes import schedulers_of
from mmvan.engine.schedules import stretch
from mmvan.errors import ConfigError
from tests.configs.zoo import REFERENCE, load


def stretched(scheduler: dict[str, Any], old: int, new: int) -> dict[str, Any]:
    """One scheduler, in a run of so many epochs with 100 iterations each."""
    cfg = Config({"param_scheduler": [scheduler]})
    stretch(cfg, (old, new), (old * 100, new * 100))
    return dict(cfg.param_scheduler[0])


@pytest.mark.parametrize(
    ("before", "after"),
    (
        ({"type": "CosineAnnealingLR", "T_max": 12}, {"T_max": 24}),
        (
            {"type": "CosineAnnealingLR", "T_max": 7, "begin": 5, "end": 12},
            {"T_max": 19, "end": 24},
        ),
        ({"type": "MultiStepLR", "milestones": [8, 11], "end": 12}, {"milestones": [16, 22]}),
        ({"type": MultiStepLR, "milestones": [8, 11], "end": 12}, {"end": 24}),
        ({"type": "PolyLR", "end": 1201, "by_epoch": False}, {"end": 2401}),
        ({"type": "StepLR", "step_size": 4}, {"step_size": 8}),
        ({"type": "ExponentialLR", "gamma": 0.25}, {"gamma": 0.5}),
    ),
)
def test_what_reaches_to_the_end_is_stretched(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    result = stretched(before, 12, 24)
    assert {key: result[key] for key in after} == after
    assert result.get("begin") == before.get("begin")


@pytest.mark.parametrize(
    "scheduler",
    (
        {"type": "LinearLR", "start_factor": 1e-3, "end": 501, "by_epoch": False},
        {"type": "LinearLR", "start_factor": 1e-3, "end": 5},
        # The config was edited for the new length.
        {"type": "MultiStepLR", "milestones": [16, 22], "end": 24},
        {"type": "CosineAnnealingLR", "T_max": 24},
    ),
)
def test_warm_ups_and_new_schedules_stay(scheduler: dict[str, Any]) -> None:
    assert stretched(scheduler, 12, 24) == scheduler


def test_a_run_can_become_shorter() -> None:
    result = stretched({"type": "MultiStepLR", "milestones": [8, 11], "end": 12}, 12, 6)
    assert (result["milestones"], result["end"]) == ([4, 6], 6)


def test_a_scheduler_that_cannot_be_stretched_is_named() -> None:
    with pytest.raises(ConfigError, match="--stretch-schedule: param_scheduler has a OneCycleLR"):
        stretched({"type": "OneCycleLR", "total_steps": 12, "end": 12}, 12, 24)


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_our_recipes_reach_to_the_new_end(path: Path) -> None:
    cfg = load(path)
    key = "max_epochs" if "max_epochs" in cfg.train_cfg else "max_iters"
    old = cfg.train_cfg[key]
    before = [dict(scheduler) for scheduler in schedulers_of(cfg.param_scheduler)]
    stretch(cfg, (old, 2 * old), (old, 2 * old))
    *warm_ups, last = schedulers_of(cfg.param_scheduler)
    assert warm_ups == before[:-1]
    assert last["end"] == before[-1]["end"] + old
