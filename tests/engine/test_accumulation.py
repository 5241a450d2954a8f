"""Gradient accumulation: the number of batches, and a schedule whose every step is the recipe's."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.engine.accumulation import accumulate_gradients
from mmvan.engine.processes import Processes
from mmvan.errors import ConfigError
from tests.configs.zoo import find, load

COUNTS = (2, 3, 8)
ITERATIONS = {"begin": 0, "end": 31, "by_epoch": False}
SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "poly": [{"type": "PolyLR", "power": 0.9, **ITERATIONS}],
    "poly without an end": [{"type": "PolyLR", "power": 2.0, "by_epoch": False}],
    "warm-up into poly": [
        {"type": "LinearLR", "start_factor": 1e-3, "begin": 0, "end": 8, "by_epoch": False},
        {"type": "PolyLR", "begin": 8, "end": 31, "eta_min": 1e-5, "by_epoch": False},
    ],
    "warm-up over poly": [
        {"type": "LinearLR", "start_factor": 1e-3, "begin": 0, "end": 8, "by_epoch": False},
        {"type": "PolyLR", **ITERATIONS},
    ],
    "milestones": [
        {"type": "ConstantLR", "factor": 0.1, "begin": 0, "end": 4, "by_epoch": False},
        {"type": "MultiStepLR", "milestones": [9, 20], "gamma": 0.1, **ITERATIONS},
    ],
    "steps": [{"type": "StepLR", "step_size": 7, "by_epoch": False}],
    "exponential": [{"type": "ExponentialLR", "gamma": 0.9, "by_epoch": False}],
    "cosine": [{"type": "CosineAnnealingLR", "T_max": 30, "eta_min": 1e-5, **ITERATIONS}],
    "restarts": [
        {
            "type": "CosineRestartLR",
            "periods": [10, 21],
            "restart_weights": [1.0, 0.5],
            "eta_min": 0.0,
            "by_epoch": False,
        }
    ],
}


def config(schedulers: Any, **settings: Any) -> Config:
    return Config(
        {
            "default_scope": "mmengine",
            "train_dataloader": {"batch_size": 2},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 1e-2}},
            "param_scheduler": schedulers,
            "train_cfg": {"by_epoch": False, "max_iters": 31},
            **settings,
        },
        cfg_text="# stands for the file",
        filename="configs/own.py",
    )


def rates_at_steps(cfg: Config, steps: int) -> Iterator[float]:
    """The learning rate of every step of the optimizer, as MMEngine's schedulers set it."""
    count = cfg.optim_wrapper.get("accumulative_counts", 1)
    init_default_scope(cfg.default_scope)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(
            {"end": cfg.train_cfg.get("max_iters", 10**9), **scheduler, "optimizer": optimizer}
        )
        for scheduler in cfg.param_scheduler
        if not scheduler.get("by_epoch", True)
    ]
    for batch in range(1, steps * count + 1):
        if batch % count == 0:
            yield optimizer.param_groups[0]["lr"]
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.filterwarnings("ignore:Detected call of `scheduler.step:UserWarning")
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_step_of_the_optimizer_has_the_recipes_rate(name: str, count: int) -> None:
    recipe, cfg = config(SCHEDULES[name]), config(SCHEDULES[name])
    accumulate_gradients(cfg, str(count), Processes())
    assert cfg.train_cfg.max_iters == 31 * count
    expected = list(rates_at_steps(recipe, 31))
    assert len(set(expected)) > 2
    assert list(rates_at_steps(cfg, 31)) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.filterwarnings("ignore:Detected call of `scheduler.step:UserWarning")
@pytest.mark.parametrize(("method", "size"), (("upernet", "b"), ("fpn", "b"), ("maskrcnn", "b")))
def test_the_published_schedules_are_kept_on_one_gpu(method: str, size: str) -> None:
    recipe, cfg = load(find(method, size)), load(find(method, size))
    accumulate_gradients(cfg, "auto", Processes())
    assert cfg.optim_wrapper.accumulative_counts == 8
    # The warm-up of each, and a while after it.
    pairs = zip(rates_at_steps(cfg, 1600), rates_at_steps(recipe, 1600), strict=True)
    assert all(found == pytest.approx(expected, rel=1e-9) for found, expected in pairs)
    iterations = cfg.train_cfg.get("max_iters")
    assert iterations == (None if method == "maskrcnn" else 8 * recipe.train_cfg.max_iters)
    assert cfg.train_cfg.get("max_epochs") == recipe.train_cfg.get("max_epochs")


@pytest.mark.parametrize(("processes", "count"), ((1, 8), (2, 4), (4, 2), (8, 1)))
def test_auto_makes_the_recipes_batch(processes: int, count: int) -> None:
    cfg = load(find("fpn", "b"))
    accumulate_gradients(cfg, "auto", Processes("pytorch", world_size=processes))
    assert cfg.optim_wrapper.accumulative_counts == count
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (40_000 * count, 4_000 * count)
    assert cfg.default_hooks.checkpoint.interval == 4_000 * count


def test_what_is_counted_in_epochs_stays() -> None:
    recipe, cfg = load(find("in1k", "b")), load(find("in1k", "b"))
    accumulate_gradients(cfg, "8", Processes())
    assert cfg.optim_wrapper.pop("accumulative_counts") == 8
    assert cfg.to_dict() == recipe.to_dict()


def test_weights_are_averaged_once_per_step() -> None:
    cfg = config([], custom_hooks=[{"type": "EMAHook", "begin_iter": 5}, {"type": "OtherHook"}])
    accumulate_gradients(cfg, "4", Processes())
    assert cfg.custom_hooks == [
        {"type": "EMAHook", "begin_iter": 20, "interval": 4},
        {"type": "OtherHook"},
    ]


def test_evaluation_that_changes_its_interval_and_single_schedulers() -> None:
    cfg = config({"type": "StepLR", "step_size": 5, "by_epoch": False})
    cfg.train_cfg.dynamic_intervals = [(20, 2)]
    accumulate_gradients(cfg, "3", Processes())
    assert cfg.train_cfg.dynamic_intervals == [[60, 6]]
    assert cfg.param_scheduler.step_size == 15
    cfg = config({"generator": [{"type": "StepLR", "step_size": 5, "by_epoch": False}]})
    accumulate_gradients(cfg, "3", Processes())
    assert cfg.param_scheduler.generator[0].step_size == 15


def test_one_changes_nothing_but_says_so() -> None:
    cfg = load(find("fpn", "b"))
    accumulate_gradients(cfg, "1", Processes())
    assert cfg.optim_wrapper.pop("accumulative_counts") == 1
    assert cfg.to_dict() == load(find("fpn", "b")).to_dict()


@pytest.mark.parametrize(
    ("batch", "recipe", "processes", "message"),
    (
        (2, None, 1, "does not say which batch its recipe has"),
        (5, 16, 2, r"2 x batch 5 = 10 does not divide .* of 16\. Choose .* from 1, 2, 4, 8, or"),
        (8, 16, 4, r"4 x batch 8 = 32 does not divide .* Choose .* from 1, 2, 4, or scale"),
        (1, 16, 32, "No batch size does with 32 processes: choose their number from 1, 2, 4, 8, 1"),
    ),
)
def test_a_batch_that_does_not_divide_is_named_with_those_that_do(
    batch: int, recipe: int | None, processes: int, message: str
) -> None:
    cfg = config([], train_dataloader={"batch_size": batch})
    cfg.auto_scale_lr = {"base_batch_size": recipe} if recipe else None
    with pytest.raises(ConfigError, match=message):
        accumulate_gradients(cfg, "auto", Processes("pytorch", world_size=processes))


def test_a_config_that_accumulates_already_is_left_alone() -> None:
    cfg = config([])
    cfg.optim_wrapper.accumulative_counts = 4
    with pytest.raises(ConfigError, match=r"own\.py accumulates already .*counts=4\)"):
        accumulate_gradients(cfg, "2", Processes())


def test_a_schedule_that_cannot_be_stretched_is_named() -> None:
    cfg = config([{"type": "mmengine.OneCycleLR", "total_steps": 31, "by_epoch": False}])
    with pytest.raises(ConfigError, match="a OneCycleLR, which cannot be made 2"):
        accumulate_gradients(cfg, "2", Processes())


class Line(BaseModel):
    """One weight, pulled to the numbers that it sees; notes the rate of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor, mode: str) -> dict[str, Tensor]:
        assert mode == "loss"
        return {"loss": (inputs * self.weight - 1).square().mean()}


class Numbers(torch.utils.data.Dataset):
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": torch.tensor(0.01 * index)}


def train(cfg: Config, name: str, work_dir: Path) -> tuple[float, list[float]]:
    """Train with MMEngine's Runner; the weight at the end, and the rate of every step."""
    model, rates = Line(), []
    runner = Runner(
        model,
        work_dir=str(work_dir / name),
        train_dataloader={
            "batch_size": cfg.train_dataloader.batch_size,
            # A loader that starts anew within the iterations waits for two seconds.
            "dataset": Numbers(24 if "max_epochs" in cfg.train_cfg else 248),
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        default_scope="mmengine",
        experiment_name=name,
    )
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    optimizer = runner.optim_wrapper.optimizer
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    runner.train()
    return model.weight.item(), rates


@pytest.mark.parametrize("loop", ("iterations", "epochs"))
def test_a_runner_takes_the_same_steps_with_small_batches(loop: str, tmp_path: Path) -> None:
    """Four batches of 2 in place of one of 8: the same rates and, without BatchNorm, weights."""
    schedulers = SCHEDULES["warm-up over poly"]
    results = []
    names = itertools.count()
    for batch_size, count in ((8, "1"), (2, "4")):
        cfg = config(schedulers, train_dataloader={"batch_size": batch_size})
        if loop == "epochs":
            cfg.train_cfg = {"by_epoch": True, "max_epochs": 5}
            cfg.param_scheduler.append({"type": "StepLR", "step_size": 2, "by_epoch": True})
        accumulate_gradients(cfg, count, Processes())
        results.append(train(cfg, f"accumulation_{loop}_{next(names)}", tmp_path))
    (weight, rates), (found, found_rates) = results
    assert len(rates) == {"iterations": 31, "epochs": 15}[loop]
    assert found_rates == pytest.approx(rates, rel=1e-9)
    assert found == pytest.approx(weight, rel=1e-5)
    assert weight != 1
