"""What hooks, scalers and samplers remember is as it was when a run is resumed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import Tensor

from mmvan.engine.latest import latest_checkpoint
from tests.engine.test_loops import (
    BATCH,
    LOOPS,
    CutOffHook,
    Noisy,
    assert_equal,
    finish,
    make_runner,
)

# Behind iterations 3, 6 and so on: best behind 6, and behind 12 there were two worse ones.
SCORES = {3: 0.5, 6: 0.7, 9: 0.6, 12: 0.65, 15: 0.8}


class Score(BaseMetric):
    """What is planned for a model that was trained so long."""

    def process(self, data_batch: Any, data_samples: Sequence[Tensor]) -> None:
        self.results.append(int(data_samples[0]))

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"score": SCORES[results[0]]}


def make_evaluated(folder: Path, **options: Any) -> Runner:
    """A run that evaluates every third iteration, saves every second one, and stops early."""
    return make_runner(
        folder,
        LOOPS[1],
        length={"val_interval": 3},
        val_cfg={},
        val_dataloader={
            "dataset": Noisy(),
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "batch_size": 11,
            "num_workers": 0,
            "collate_fn": {"type": "default_collate"},
        },
        val_evaluator=Evaluator(Score()),
        custom_hooks=[
            {"type": "EarlyStoppingHook", "monitor": "score", "rule": "greater", "patience": 2}
        ],
        default_hooks={
            "checkpoint": {
                "type": "mmvan.CheckpointHook",
                "by_epoch": False,
                "interval": 2,
                "max_keep_ckpts": 2,
                "save_best": "score",
                "rule": "greater",
            }
        },
        **options,
    )


def resume(folder: Path, **options: Any) -> Runner:
    return make_evaluated(folder, resume=True, load_from=latest_checkpoint(str(folder)), **options)


def counters(runner: Runner) -> dict[str, Any]:
    hook = next(hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook))
    info = runner.message_hub.runtime_info
    return {
        "waited": hook.wait_count,
        "best to wait for": hook.best_score,
        "best": info["best_score"],
        "best file": Path(info["best_ckpt"]).name,
        "iteration": runner.iter,
    }


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.pth")}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = make_evaluated(tmp_path_factory.mktemp("evaluated"))
    finish(runner)
    return runner


# Behind an iteration, or before an evaluation: the fourth is the one that ends the run.
@pytest.mark.parametrize(
    "cut", ({"iteration": 7}, {"iteration": 11}, {"validation": 3}, {"validation": 4}), ids=str
)
def test_early_stopping_and_the_best_score_go_on(
    cut: dict[str, int], evaluated: Runner, tmp_path: Path
) -> None:
    expected = counters(evaluated)
    assert expected["iteration"] == 12  # Of 15.
    assert expected["best file"] == "best_score_iter_6.pth"
    finish(make_evaluated(tmp_path), CutOffHook(**cut))
    resumed = resume(tmp_path)
    finish(resumed)
    assert counters(resumed) == expected
    assert_equal(evaluated, resumed)
    assert files(tmp_path) == files(Path(evaluated.work_dir))


def test_a_run_that_was_stopped_early_stays_so(evaluated: Runner, tmp_path: Path) -> None:
    """Killed behind the checkpoint with the evaluation that ended it, it does not train on."""
    finish(make_evaluated(tmp_path))
    resumed = resume(tmp_path)
    assert finish(resumed) == {}
    assert counters(resumed) == counters(evaluated)


@pytest.mark.parametrize("loop", LOOPS)
def test_batches_by_aspect_ratio_go_on(loop: str, tmp_path: Path) -> None:
    """Images that wait for others of their shape are those that waited before."""
    options = {"loader": {"batch_sampler": {"type": "mmdet.AspectRatioBatchSampler"}}}
    whole = make_runner(tmp_path / "whole", loop, **options)
    expected = finish(whole)
    loader = whole.train_dataloader
    assert isinstance(loader.batch_sampler, AspectRatioBatchSampler)
    first = loader.dataset.asked[:BATCH]
    assert len({index % 3 == 0 for index in first}) == 1  # High ones, or wide ones.
    for cut in (5, 8):
        folder = tmp_path / f"cut_{cut}"
        finish(make_runner(folder, loop, **options), CutOffHook(cut))
        latest = latest_checkpoint(str(folder))
        resumed = make_runner(folder, loop, resume=True, load_from=latest, **options)
        losses = finish(resumed)
        assert losses == {i: expected[i] for i in losses}
        assert_equal(whole, resumed)


@OPTIM_WRAPPERS.register_module()
class AmpOnCpu(AmpOptimWrapper):
    """MMEngine's, without its demand for a GPU; the scale is such that it overflows and grows."""

    def __init__(self, **options: Any) -> None:
        OptimWrapper.__init__(self, **options)
        self.loss_scaler = torch.amp.GradScaler("cpu", init_scale=2.0**124, growth_interval=3)
        self._scale_update_param = None
        self.cast_dtype = torch.bfloat16


class Scales(Hook):
    """The scale behind each iteration."""

    def __init__(self) -> None:
        self.values: dict[int, float] = {}

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self.values[runner.iter] = runner.optim_wrapper.loss_scaler.get_scale()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_gradient_scaler_goes_on(loop: str, tmp_path: Path) -> None:
    options = {
        "optim_wrapper": {
            "type": "AmpOnCpu",
            "optimizer": {"type": "SGD", "lr": 1e-4, "momentum": 0.9},
        }
    }
    whole, expected = make_runner(tmp_path / "whole", loop, **options), Scales()
    finish(whole, expected)
    assert len(set(expected.values.values())) > 2  # It overflowed, and grew.
    for cut in (5, 7, 10):
        folder = tmp_path / f"cut_{cut}"
        finish(make_runner(folder, loop, **options), CutOffHook(cut))
        latest = latest_checkpoint(str(folder))
        resumed = make_runner(folder, loop, resume=True, load_from=latest, **options)
        found = Scales()
        finish(resumed, found)
        assert found.values == {i: expected.values[i] for i in found.values}
        scalers = [runner.optim_wrapper.loss_scaler.state_dict() for runner in (whole, resumed)]
        assert scalers[0] == scalers[1]
        assert all(
            torch.equal(value, resumed.model.state_dict()[key])
            for key, value in whole.model.state_dict().items()
        )
