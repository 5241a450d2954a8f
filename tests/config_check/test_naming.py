"""The key of what cannot be built or fails in the first step, and nothing else."""

import itertools
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import METRICS, MODELS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.config_check.naming import naming_keys
from mmvan.errors import ConfigError, DataError

NUMBERS = itertools.count()
SEEN: list[int] = []


@MODELS.register_module(force=True)
class NamedHead(nn.Module):
    """Reads its settings when it is used, as mmdet's heads do."""

    def __init__(self, test_cfg: Any = None, error: Exception | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.test_cfg, self.error = test_cfg, error

    def forward(self, x: Tensor) -> Tensor:
        if self.error:
            raise self.error
        return x * self.scale

    def predict(self, x: Tensor) -> Tensor:
        cfg = self.test_cfg
        return x * cfg.score_thr


@MODELS.register_module(force=True)
class NamedModel(BaseModel):
    def __init__(self, head: Any, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor)
        self.head = MODELS.build(head)

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": self.head(inputs).sum()}
        return [self.head.predict(inputs)]


@METRICS.register_module(force=True)
class NamedMetric(BaseMetric):
    def __init__(self, ann_file: str | None = "a.json") -> None:
        super().__init__()
        self.ann_file = ann_file

    def process(self, data_batch: Any, data_samples: Any) -> None:
        assert self.ann_file is not None, "ground truth is required"
        self.results.append(1)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        SEEN.append(len(results))
        return {"seen": float(len(results))}


def config(folder: Path) -> Config:
    loader = {
        "dataset": [{"inputs": 1.0}] * 4,
        "batch_size": 2,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "default_collate"},
    }
    test_cfg = {"score_thr": 0.5, "max_per_img": 3}
    return Config(
        {
            "model": {
                "type": "NamedModel",
                "head": {"type": "NamedHead", "test_cfg": test_cfg},
            },
            "work_dir": str(folder),
            "train_dataloader": loader,
            "val_dataloader": loader,
            "val_cfg": {},
            "val_evaluator": {"type": "NamedMetric"},
            "train_cfg": {"by_epoch": True, "max_epochs": 1},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
            "default_hooks": {"rehearsal": {"type": "mmvan.RehearsalHook"}},
            "experiment_name": f"naming_{next(NUMBERS)}",
        }
    )


def train(cfg: Config) -> None:
    with naming_keys(cfg):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    (
        ("model.head.type", "NamedHaed", r"model.head cannot be built: .*NamedHaed"),
        ("model.head.extra", 1, r"model.head cannot be built: TypeError: .*extra"),
        ("train_dataloader.shufle", True, "train_dataloader cannot be built: .*shufle"),
        ("train_dataloader.sampler.type", "Sampler", "train_dataloader.sampler cannot be built"),
        ("val_evaluator.type", "Metric", "val_evaluator cannot be built"),
        ("val_evaluator.ann_file", None, "val_evaluator does not work: .*ground truth is required"),
        (
            "optim_wrapper.optimizer.lr",
            -1.0,
            "optim_wrapper.optimizer cannot be built: .*Invalid",
        ),
        ("default_hooks.logger", 3, "default_hooks cannot be built"),
        (
            "model.head.test_cfg",
            {"max_per_img": 3},
            "model.head.test_cfg does not work: .*score",
        ),
    ),
)
def test_the_key_is_named(key: str, value: Any, message: str, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    parent = cfg
    *parts, last = key.split(".")
    for part in parts:
        parent = parent[part]
    parent[last] = value
    with pytest.raises(ConfigError, match=message):
        train(cfg)


def test_settings_that_a_failing_part_was_given_are_named(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    with naming_keys(cfg):
        runner = Runner.from_cfg(cfg)
    runner.model.head.predict = MethodType(_predict_with, runner.model.head)
    message = r"model\.head with model\.head\.test_cfg does not work: ZeroDivisionError"
    with pytest.raises(ConfigError, match=message), naming_keys(cfg):
        runner.train()


def _predict_with(self: NamedHead, x: Tensor) -> Tensor:
    settings = self.test_cfg
    return x * (settings.max_per_img // 0)


def test_a_pipeline_that_packs_nothing_is_named(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.model.data_preprocessor = {"type": "ImgDataPreprocessor"}
    cfg.val_dataloader.dataset = [{"img": 1.0}]
    with pytest.raises(ConfigError, match=r": val_dataloader\.dataset\.pipeline does not work"):
        train(cfg)


def test_a_preprocessor_outside_of_a_step_keeps_its_error(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.model.data_preprocessor = {"type": "ImgDataPreprocessor"}
    runner = Runner.from_cfg(cfg)
    runner.model.train_step = lambda data, **_: runner.model.data_preprocessor({})
    message = r"model\.data_preprocessor does not work: KeyError"
    with pytest.raises(ConfigError, match=message), naming_keys(cfg):
        _without_rehearsal(runner).train()


def _without_rehearsal(runner: Runner) -> Runner:
    runner._hooks = [hook for hook in runner.hooks if type(hook).__name__ != "RehearsalHook"]
    return runner


def test_settings_that_a_caller_holds_are_not_blamed(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.model.head.error = RuntimeError("sizes do not fit")
    forward = runner.model.forward

    def holding(*args: Any, **options: Any) -> Any:
        settings = cfg.model.head.test_cfg
        assert settings
        return forward(*args, **options)

    runner.model.forward = holding
    with pytest.raises(ConfigError, match=r"model\.head does not work"), naming_keys(cfg):
        runner.train()


def test_a_failing_part_of_the_model_is_named(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    with naming_keys(cfg):
        runner = Runner.from_cfg(cfg)
    runner.model.head.error = RuntimeError("sizes do not fit")
    message = r"model\.head does not work: RuntimeError: sizes do not fit"
    with pytest.raises(ConfigError, match=message), naming_keys(cfg):
        runner.train()


@pytest.mark.parametrize("error", (DataError("bad"), MemoryError(), OSError("disk")))
def test_other_errors_pass_through(error: Exception, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.model.head.error = error
    with pytest.raises(type(error)) as raised, naming_keys(cfg):
        runner.train()
    assert raised.value is error


def test_errors_of_later_steps_pass_through(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.model.head.register_forward_hook(
        lambda module, *_: setattr(module, "error", RuntimeError("later"))
    )
    with pytest.raises(RuntimeError, match="later"), naming_keys(cfg):
        runner.train()


def test_the_rehearsal_leaves_nothing(tmp_path: Path) -> None:
    SEEN.clear()
    torch.manual_seed(3)
    expected = torch.rand(2)
    cfg = config(tmp_path)
    runner = Runner.from_cfg(cfg)
    torch.manual_seed(3)
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == "RehearsalHook")
    runner.train_loop, runner.val_loop  # noqa: B018, which are built
    torch.manual_seed(3)
    hook.before_train(runner)
    assert torch.equal(torch.rand(2), expected)
    assert runner.model.training
    runner.train()
    assert SEEN == [2]
