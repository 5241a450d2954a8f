import csv
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvan.inference.model import find_config
from mmvan.visualization.schedule import compute_schedule, recipe_epoch_length, write_csv


def small_config() -> Config:
    cfg = find_config("van_t_in1k", None, ("model",))
    cfg.model.backbone.arch = {"embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1)}
    cfg.model.head.in_channels = 32
    cfg.optim_wrapper.optimizer = {"type": "SGD", "lr": 1.0, "weight_decay": 0.5, "momentum": 0.9}
    cfg.train_cfg = {"by_epoch": True, "max_epochs": 3}
    return cfg


def test_every_step_of_two_schedulers() -> None:
    cfg = small_config()
    cfg.param_scheduler = [
        {"type": "LinearLR", "start_factor": 0.5, "by_epoch": False, "begin": 0, "end": 2},
        {"type": "StepLR", "step_size": 1, "gamma": 0.1, "by_epoch": True},
    ]
    found = compute_schedule(cfg, epoch_length=4)
    rates = [step[0][0] for step in found.steps]
    expected = [0.5, 1.0, 1.0, 1.0, *[0.1] * 4, *[0.01] * 4]
    assert rates == pytest.approx(expected)
    assert {step[0][2] for step in found.steps} == {0.9}


def test_groups_are_those_of_the_weight_decay() -> None:
    cfg = small_config()
    cfg.param_scheduler = []
    found = compute_schedule(cfg, epoch_length=1)
    assert sorted(group[1] for group in found.steps[0]) == [0.0, 0.5]
    assert len(found.steps) == 3


def test_a_loop_over_iterations_and_the_csv(tmp_path: Path) -> None:
    cfg = small_config()
    cfg.train_cfg = {"max_iters": 5}
    cfg.param_scheduler = {"type": "PolyLR", "power": 1.0, "by_epoch": False}
    found = compute_schedule(cfg, epoch_length=2)
    assert [step[0][0] for step in found.steps] == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    write_csv(found, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * len(found.groups)
    assert {row["lr"] for row in rows if row["step"] == "3"} == {"0.25"}


def test_steps_per_epoch_are_the_recipes() -> None:
    cfg = small_config()
    assert cfg.auto_scale_lr.base_batch_size == 1024
    assert recipe_epoch_length(cfg, 1281167) == 1252
