"""What a resumed run says and does when its config has another schedule than its checkpoint."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import ConstantLR
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.engine.processes import Processes
from mmvan.engine.resume import continue_run
from mmvan.engine.schedule_hook import ResumedScheduleHook
from mmvan.errors import CheckpointError, ConfigError

NUMBERS = itertools.count()
LENGTH = 3  # iterations of an epoch
SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "cosine": [
        {"type": "LinearLR", "start_factor": 0.1, "end": 4, "by_epoch": False},
        {"type": "CosineAnnealingLR", "T_max": 4, "eta_min": 1e-3, "end": 4},
    ],
    "steps": [{"type": "MultiStepLR", "milestones": [2, 3], "gamma": 0.1, "end": 4}],
    "by iterations": [
        {"type": "CosineAnnealingLR", "T_max": 4, "end": 4, "convert_to_iter_based": True}
    ],
}


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Any:
        return {"loss": (self.weight * inputs).sum()}


class Rates(Hook):
    def __init__(self) -> None:
        self.values: dict[int, float] = {}

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self.values[runner.iter] = runner.optim_wrapper.param_groups[0]["lr"]


@PARAM_SCHEDULERS.register_module(force=True)
class ArrayLR(ConstantLR):
    """Keeps an array, as a user's own scheduler may."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.table = np.array([0.1, 0.2])
        super().__init__(*args, **options)


def config(folder: Path, schedule: Any, epochs: int, lr: float = 0.1) -> Config:
    return Config(
        {
            "work_dir": str(folder),
            "train_dataloader": {
                "dataset": [{"inputs": 1.0}] * LENGTH,
                "batch_size": 1,
                "sampler": {"type": "DefaultSampler", "shuffle": False},
                "collate_fn": {"type": "default_collate"},
            },
            "train_cfg": {"by_epoch": True, "max_epochs": epochs},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": lr}},
            "param_scheduler": [dict(scheduler) for scheduler in schedule],
            "default_hooks": {"resumed_schedule": {"type": "mmvan.ResumedScheduleHook"}},
        }
    )


def train(cfg: Config) -> dict[int, float]:
    rates = Rates()
    name = f"schedule_{next(NUMBERS)}"
    runner = Runner(Net(), **cfg, cfg=cfg, experiment_name=name)
    runner.register_hook(rates)
    runner.train()
    return rates.values


def logged(folder: Path) -> str:
    """All that the runs in a work directory logged."""
    return "".join(path.read_text() for path in folder.rglob("*.log"))


def resumed(cfg: Config, source: Path, stretch: bool = False) -> dict[int, float]:
    continue_run(cfg, str(source), stretch, Processes())
    return train(cfg)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_stretched_run_has_the_rates_of_one_that_was_as_long_from_the_start(
    name: str, tmp_path: Path
) -> None:
    old = train(config(tmp_path, SCHEDULES[name], 4))
    cfg = config(tmp_path, SCHEDULES[name], 8)
    rates = resumed(cfg, tmp_path / "epoch_4.pth", stretch=True)
    whole = config(tmp_path / "whole", cfg.param_scheduler, 8)
    expected = train(whole)
    assert list(rates) == list(range(4 * LENGTH, 8 * LENGTH))
    assert rates == pytest.approx({i: expected[i] for i in rates}, rel=1e-6)
    assert rates[4 * LENGTH] > old[4 * LENGTH - 1]
    assert logged(tmp_path).count("resumed at epoch 4: was to end at epoch 4, now at 8") == 1


def test_a_stretched_run_that_is_continued_once_more_keeps_its_schedule(tmp_path: Path) -> None:
    train(config(tmp_path, SCHEDULES["cosine"], 4))
    first = resumed(
        config(tmp_path, SCHEDULES["cosine"], 8), tmp_path / "epoch_4.pth", stretch=True
    )
    again = resumed(
        config(tmp_path, SCHEDULES["cosine"], 8), tmp_path / "epoch_6.pth", stretch=True
    )
    assert again == pytest.approx({i: first[i] for i in range(6 * LENGTH, 8 * LENGTH)})


def test_without_the_option_one_line_says_that_the_rate_stays(tmp_path: Path) -> None:
    old = train(config(tmp_path, SCHEDULES["steps"], 4))
    rates = resumed(config(tmp_path, SCHEDULES["steps"], 6), tmp_path / "epoch_4.pth")
    assert set(rates.values()) == {old[4 * LENGTH - 1]}
    (line,) = [line for line in logged(tmp_path).splitlines() if "resumed at epoch" in line]
    assert line.partition("WARNING - ")[2] == (
        "resumed at epoch 4: was to end at epoch 4, now at 6; the schedule is the checkpoint's "
        "(schedulers end at: epoch 4); --stretch-schedule takes the config's, stretched"
    )


def test_other_rates_in_the_config_are_told(tmp_path: Path) -> None:
    train(config(tmp_path, SCHEDULES["steps"], 4))
    schedule = [{**SCHEDULES["steps"][0], "milestones": [3]}]
    resumed(config(tmp_path, schedule, 4, lr=0.5), tmp_path / "epoch_2.pth")
    assert "the config's is not used (milestones Counter({3: 1}) in the config" in logged(tmp_path)
    assert "lr 0.5 in the config, 0.1 in the checkpoint" in logged(tmp_path)


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    train(config(tmp_path, SCHEDULES["steps"], 4))
    rates = resumed(config(tmp_path, SCHEDULES["steps"], 4), tmp_path / "epoch_4.pth")
    assert not rates
    assert "the run that is resumed has finished: epoch 4 of 4. To go on" in logged(tmp_path)


def test_a_run_that_goes_on_as_it_was_says_nothing(tmp_path: Path) -> None:
    train(config(tmp_path, SCHEDULES["cosine"], 4))
    rates = resumed(config(tmp_path, SCHEDULES["cosine"], 4), tmp_path / "epoch_2.pth")
    assert len(rates) == 2 * LENGTH
    assert "resumed at epoch" not in logged(tmp_path)
    assert "resumed epoch: 2" in logged(tmp_path)


def test_what_can_not_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="follow is 'both'; expected 'checkpoint' or 'config'"):
        ResumedScheduleHook("both")
    cfg = config(tmp_path, SCHEDULES["cosine"], 4)
    with pytest.raises(ConfigError, match="--stretch-schedule is for a run that is continued"):
        continue_run(cfg, None, True, Processes())
    torch.save({"meta": {}, "state_dict": {}}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="does not say how long its run was to be"):
        continue_run(cfg, str(tmp_path / "weights.pth"), True, Processes())


def test_schedulers_may_hold_arrays(tmp_path: Path) -> None:
    schedule = ({"type": "ArrayLR", "by_epoch": True},)
    train(config(tmp_path, schedule, 4))
    rates = resumed(config(tmp_path, schedule, 4), tmp_path / "epoch_2.pth")
    assert len(rates) == 2 * LENGTH
    assert "resumed at epoch" not in logged(tmp_path)
