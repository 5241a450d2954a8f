"""A run that was cut off and resumed ends as one that was not: to the last bit."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.engine.latest import latest_checkpoint

NUMBERS = itertools.count()
SAMPLES = 22
EPOCHS = 3
BATCH = 4


class Noisy(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Samples that depend on their index and on every kind of random number."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        self.asked.append(index)
        noise = torch.rand(3) + float(np.random.rand())
        return {"inputs": noise + index, "target": noise.sum() * index}

    def __len__(self) -> int:
        return SAMPLES

    def get_data_info(self, index: int) -> dict[str, int]:
        """Wide and high ones, for samplers that group them."""
        return {"width": 10 + index % 3, "height": 11}


class Net(BaseModel):
    """Dropout, BatchNorm and a regression."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        )

    def forward(self, inputs: Tensor, target: Tensor, mode: str = "tensor") -> Any:
        if mode == "predict":  # For metrics: how long it was trained.
            return [self.layers[1].num_batches_tracked.clone()]
        error = (self.layers(inputs)[:, 0] - target).square().mean()
        return {"loss": error} if mode == "loss" else [error]


class CutOffError(Exception):
    pass


class CutOffHook(Hook):
    """Ends the process, as far as Python can, behind some iteration or within an evaluation."""

    priority = "LOWEST"

    def __init__(self, iteration: int | None = None, validation: int | None = None) -> None:
        self.iteration, self.validation = iteration, validation
        self.validations = 0

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        if runner.iter + 1 == self.iteration:
            raise CutOffError

    def before_val(self, runner: Runner) -> None:
        self.validations += 1
        if self.validations == self.validation:
            raise CutOffError


class StopHook(Hook):
    """Ends the process behind so many iterations of it, when they are saved."""

    priority = "LOWEST"

    def __init__(self, iterations: int | None) -> None:
        self.left = iterations

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise CutOffError


class Losses(Hook):
    def __init__(self) -> None:
        self.values: dict[int, float] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.values[runner.iter] = float(outputs["loss"])


def make_runner(folder: Path, loop: str, workers: int = 0, **options: Any) -> Runner:
    by_epoch = loop.startswith("mmvan.Epoch")
    length = {"max_epochs": EPOCHS} if by_epoch else {"max_iters": 15, "val_interval": 5}
    length |= options.pop("length", {})
    sampler = "DefaultSampler" if by_epoch else options.pop("sampler", "InfiniteSampler")
    torch.manual_seed(0)
    options.setdefault("optim_wrapper", {"optimizer": {"type": "AdamW", "lr": 0.05}})
    interval = options.pop("interval", 2)
    hooks = {
        "checkpoint": {"type": "mmvan.CheckpointHook", "by_epoch": False, "interval": interval}
    }
    hooks |= options.pop("default_hooks", {})
    return Runner(
        Net(),
        str(folder),
        train_dataloader={
            "dataset": Noisy(),
            "sampler": {"type": sampler, "shuffle": True},
            "batch_size": BATCH,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "collate_fn": {"type": "default_collate"},
            **options.pop("loader", {}),
        },
        train_cfg={"type": loop, **length},
        param_scheduler={"type": "CosineAnnealingLR", "T_max": 15, "by_epoch": False},
        randomness={"seed": options.pop("seed", 7)},
        default_hooks=hooks,
        experiment_name=f"test_loops_{next(NUMBERS)}",
        **options,
    )


def finish(runner: Runner, *hooks: Hook) -> dict[int, float]:
    losses = Losses()
    for hook in (*hooks, losses):
        runner.register_hook(hook)
    try:
        runner.train()
    except CutOffError:
        assert hooks
    return losses.values


def state_of(runner: Runner) -> dict[str, Tensor]:
    state = {f"model.{k}": v for k, v in runner.model.state_dict().items()}
    groups = runner.optim_wrapper.state_dict()["state"]
    return state | {
        f"optimizer.{i}.{key}": value
        for i, group in groups.items()
        for key, value in group.items()
        if isinstance(value, Tensor)
    }


def assert_equal(one: Runner, other: Runner) -> None:
    first, second = state_of(one), state_of(other)
    assert first.keys() == second.keys()
    assert len(first) > 10
    assert all(torch.equal(first[key], second[key]) for key in first)


LOOPS = ("mmvan.EpochBasedTrainLoop", "mmvan.IterBasedTrainLoop")


@pytest.mark.parametrize("workers", (0, 2))
@pytest.mark.parametrize("loop", LOOPS)
def test_a_resumed_run_equals_the_uninterrupted_one(
    loop: str, workers: int, tmp_path: Path
) -> None:
    whole = make_runner(tmp_path / "whole", loop, workers)
    expected = finish(whole)
    # In the first epoch, at its end, behind it, and with two iterations lost since the last file.
    for cut in (7,) if workers else (4, 6, 13):
        folder = tmp_path / f"cut_{cut}"
        finish(make_runner(folder, loop, workers), CutOffHook(cut))
        # Loaded by other workers than before.
        resumed = make_runner(
            folder, loop, 2 - workers, resume=True, load_from=latest_checkpoint(str(folder))
        )
        losses = finish(resumed)
        assert_equal(whole, resumed)
        assert losses == {i: expected[i] for i in losses}
        assert min(losses) == cut - cut % 2
    assert len(expected) == resumed.iter


def test_samples_that_were_had_are_not_loaded_again(tmp_path: Path) -> None:
    finish(make_runner(tmp_path, LOOPS[1]), CutOffHook(8))
    resumed = make_runner(
        tmp_path, LOOPS[1], resume=True, load_from=latest_checkpoint(str(tmp_path))
    )
    dataset = resumed.train_dataloader.dataset
    finish(resumed)
    assert len(dataset.asked) == (15 - 8) * BATCH


@pytest.mark.parametrize("cut", (4, 8))
def test_a_sampler_with_an_end_is_gone_through_again(cut: int, tmp_path: Path) -> None:
    """Without InfiniteSampler, MMEngine's loop over iterations begins the data anew."""
    whole = make_runner(tmp_path / "whole", LOOPS[1], sampler="DefaultSampler")
    finish(whole)
    finish(make_runner(tmp_path / "cut", LOOPS[1], sampler="DefaultSampler"), CutOffHook(cut))
    latest = latest_checkpoint(str(tmp_path / "cut"))
    resumed = make_runner(
        tmp_path / "cut", LOOPS[1], sampler="DefaultSampler", resume=True, load_from=latest
    )
    finish(resumed)
    assert_equal(whole, resumed)


def test_waiting_gradients_and_averages_are_continued(tmp_path: Path) -> None:
    options = {
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.05}, "accumulative_counts": 3},
        "custom_hooks": [{"type": "EMAHook", "update_buffers": True, "momentum": 0.1}],
        "interval": 1,
    }
    whole = make_runner(tmp_path / "whole", LOOPS[0], **options)
    finish(whole)
    for cut in (4, 5):
        folder = tmp_path / f"cut_{cut}"
        finish(make_runner(folder, LOOPS[0], **options), CutOffHook(cut))
        latest = latest_checkpoint(str(folder))
        resumed = make_runner(folder, LOOPS[0], resume=True, load_from=latest, **options)
        finish(resumed)
        averages = [
            next(hook for hook in runner.hooks if hasattr(hook, "ema_model")).ema_model.state_dict()
            for runner in (whole, resumed)
        ]
        assert all(torch.equal(averages[0][key], averages[1][key]) for key in averages[0])
        assert all(
            torch.equal(value, resumed.model.state_dict()[key])
            for key, value in whole.model.state_dict().items()
        )


def test_the_seed_is_the_checkpoints(tmp_path: Path) -> None:
    """MMEngine builds the loader before it knows the seed of the run that is resumed."""
    whole = make_runner(tmp_path / "whole", LOOPS[0])
    finish(whole)
    finish(make_runner(tmp_path / "cut", LOOPS[0]), CutOffHook(8))
    latest = latest_checkpoint(str(tmp_path / "cut"))
    resumed = make_runner(tmp_path / "cut", LOOPS[0], resume=True, load_from=latest, seed=99)
    finish(resumed)
    assert_equal(whole, resumed)


def test_hooks_that_change_the_pipeline_restart_the_workers(tmp_path: Path) -> None:
    """As mmdet's PipelineSwitchHook does it, by attributes of PyTorch's loader."""
    runner = make_runner(tmp_path, LOOPS[0], workers=1)
    loader = runner.build_train_loop(runner._train_loop).dataloader
    assert len(next(iter(loader))["target"]) == BATCH
    workers = loader.loader._iterator
    assert loader.persistent_workers
    assert workers is not None
    loader._DataLoader__initialized = False
    loader._iterator = None
    assert loader.loader._iterator is None
    assert len(next(iter(loader))["target"]) == BATCH
    assert loader.loader._iterator is not workers


@pytest.mark.parametrize("batches", ("BatchSampler", "mmdet.AspectRatioBatchSampler"))
@pytest.mark.parametrize(
    ("loop", "sampler"),
    ((LOOPS[0], None), (LOOPS[1], "DefaultSampler"), (LOOPS[1], "InfiniteSampler")),
)
def test_other_batches_have_what_is_left(
    loop: str, sampler: str | None, batches: str, tmp_path: Path
) -> None:
    """The batch changes twice in the first pass; once the run is resumed as it was."""
    options: dict[str, Any] = {"sampler": sampler} if sampler else {}
    loader: dict[str, Any] = {}
    if batches != "BatchSampler":
        loader["batch_sampler"] = {"type": batches}
    had: list[int] = []
    for size, iterations in ((4, 2), (3, 1), (3, 1), (2, None)):
        latest = latest_checkpoint(str(tmp_path))
        if latest:
            options |= {"resume": True, "load_from": latest}
        loader["batch_size"] = size
        runner = make_runner(tmp_path, loop, loader=dict(loader), interval=1, **options)
        finish(runner, StopHook(iterations))
        had += runner.train_dataloader.dataset.asked
    assert len(set(had[:14])) == 14
    # Iterations of two samples follow the first four; epochs are whole.
    assert len(had) == (14 + 2 * (15 - 4) if sampler else EPOCHS * SAMPLES)
    if (batches, sampler) == ("mmdet.AspectRatioBatchSampler", "InfiniteSampler"):
        # One of a shape may wait for the next pass.
        assert len(set(had[: SAMPLES + 2])) >= SAMPLES - 1
        assert max(Counter(had).values()) == 2
        return
    for start in range(0, len(had), SAMPLES):
        one_pass = had[start : start + SAMPLES]
        assert len(set(one_pass)) == len(one_pass)


@pytest.mark.parametrize("batches", ("BatchSampler", "mmdet.AspectRatioBatchSampler"))
@pytest.mark.parametrize("sampler", ("DefaultSampler", "InfiniteSampler"))
def test_other_batches_have_what_is_left_of_a_later_pass(
    sampler: str, batches: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"sampler": sampler}
    loader: dict[str, Any] = {}
    if batches != "BatchSampler":
        loader["batch_sampler"] = {"type": batches}
    had: list[int] = []
    for size, iterations in ((4, 8), (2, None)):
        loader["batch_size"] = size
        runner = make_runner(tmp_path, LOOPS[1], loader=dict(loader), interval=1, **options)
        finish(runner, StopHook(iterations))
        had += runner.train_dataloader.dataset.asked
        options |= {"resume": True, "load_from": latest_checkpoint(str(tmp_path))}
    # With an end, the sixth batch has the last two of a pass.
    assert len(had) == (32 if sampler == "InfiniteSampler" else 30) + 2 * (15 - 8)
    for end in (SAMPLES, 2 * SAMPLES):
        counts = Counter(had[:end])
        # By shape, some of an endless order wait for the next pass.
        waiting = 3 if (sampler, batches[:5]) == ("InfiniteSampler", "mmdet") else 0
        assert sum(abs(counts[index] - end // SAMPLES) for index in range(SAMPLES)) <= 2 * waiting
