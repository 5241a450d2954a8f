"""A rehearsal ends what cannot be evaluated, and changes nothing else."""

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import LOOPS
from mmengine.runner import Runner, ValLoop
from torch import Tensor, nn

from mmvan.errors import ConfigError

NUMBERS_OF_RUNS = itertools.count()


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.predictions = 0

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": (inputs * self.scale).sum()}
        self.predictions += 1
        return [inputs * self.scale]


class Metric(BaseMetric):
    """Remembers in a place of its own, as those for tracking do, and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[int]] = {"all": []}
        self.error: Exception | None = None

    def process(self, data_batch: Any, data_samples: Any) -> None:
        random.random()
        np.random.rand()
        self.seen["all"].append(1)
        if self.error:
            raise self.error

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {}


class LoadLabel(BaseTransform):
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no label")


class Data:
    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.samples[index], Exception):
            raise self.samples[index]
        if isinstance(self.samples[index], BaseTransform):
            return self.samples[index]({})
        return {"inputs": self.samples[index]}


@LOOPS.register_module(force=True)
class PreparingLoop(ValLoop):
    """Does something before its first batch, as the loop of mmpretrain's retrieval."""

    def run(self) -> Any:
        return super().run()


def _random_state() -> Any:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def rehearse(
    folder: Path,
    samples: list[Any] | None = None,
    val_cfg: dict[str, Any] | None = None,
    error: Exception | None = None,
    **train_cfg: Any,
) -> Runner:
    data = Data([1.0, 2.0] if samples is None else samples)
    loader = {
        "dataset": Data([1.0]),
        "batch_size": 1,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "default_collate"},
    }
    metric = Metric()
    metric.error = error
    runner = Runner(
        Model(),
        str(folder),
        train_dataloader=loader,
        val_dataloader={**loader, "dataset": data, "sampler": None},
        val_cfg=val_cfg or {},
        val_evaluator=[metric],
        train_cfg={"by_epoch": True, "max_epochs": 1, **train_cfg},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[{"type": "mmvan.RehearsalHook"}],
        experiment_name=f"rehearsal_{next(NUMBERS_OF_RUNS)}",
        cfg=Config(),
    )
    runner.train_loop, runner.val_loop  # noqa: B018, which are built
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == "RehearsalHook")
    before = _random_state()
    hook.before_train(runner)
    assert _random_state() == before
    return runner


def test_nothing_of_it_remains(tmp_path: Path) -> None:
    runner = rehearse(tmp_path)
    assert runner.model.predictions == 1
    (metric,) = runner.val_loop.evaluator.metrics
    assert metric.seen == {"all": []}
    assert runner.model.training


@pytest.mark.parametrize(
    "options",
    (
        {"val_cfg": {"type": "PreparingLoop"}},
        {"val_begin": 2},
        {"samples": [OSError("disk")]},
    ),
    ids=("own_loop", "no_evaluation", "unreadable"),
)
def test_what_it_cannot_know_is_left_to_the_evaluation(
    options: dict[str, Any], tmp_path: Path
) -> None:
    assert rehearse(tmp_path, **options).model.predictions == 0


def test_what_fails_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pipeline does not work for the first sample: KeyError"):
        rehearse(tmp_path, samples=[KeyError("img")])
    with pytest.raises(ConfigError, match="first sample, in LoadLabel: ValueError: no label"):
        rehearse(tmp_path, samples=[LoadLabel()])
    with pytest.raises(RuntimeError, match="no such score"):
        rehearse(tmp_path, error=RuntimeError("no such score"))
