"""A run that a signal stops writes a checkpoint, and resuming it does what it left out."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.checkpoint.safe_globals import allow_mmengine_checkpoints
from mmvan.engine.signal_hook import SignalHook, stopping_at_signals
from mmvan.engine.signals import STOP_SIGNALS


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor, mode: str) -> Any:
        if mode == "predict":
            return [inputs * self.weight]
        return {"loss": (inputs * self.weight - 1).square().mean()}


class Numbers(torch.utils.data.Dataset):
    metainfo: dict[str, Any] = {}  # noqa: RUF012 As MMEngine reads it.

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": torch.tensor(0.1 * index)}


class Weight(BaseMetric):
    """Returns the weight that was evaluated."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(float(data_samples[0][-1]) / 0.1)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"weight": results[0]}


class Send(Hook):
    """Sends a signal to this process at a point of the run."""

    def __init__(self, number: int, point: str, when: int) -> None:
        self.number, self.when = number, when
        setattr(self, point, self._send)

    def _send(self, runner: Any, *_: Any, **__: Any) -> None:
        if runner.iter == self.when:
            signal.raise_signal(self.number)


class Metrics(Hook):
    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def after_val_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        self.seen.append((runner.iter, metrics["weight"]))


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    allow_mmengine_checkpoints()
    yield
    STOP_SIGNALS.restore()


def run(work_dir: Path, *hooks: Hook, by_epoch: bool = True, name: str, **settings: Any) -> Runner:
    loader = {
        "batch_size": 2,
        "dataset": Numbers(),
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "default_collate"},
    }
    length = {"max_epochs": 2} if by_epoch else {"max_iters": 8}
    runner = Runner(
        Line(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        val_cfg={},
        val_evaluator=Evaluator(Weight()),
        train_cfg={"by_epoch": by_epoch, "val_interval": 1 if by_epoch else 4, **length},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[SignalHook(), *hooks],
        default_scope="mmengine",
        experiment_name=f"{work_dir.name}_{name}",
        **settings,
    )
    runner.train()
    return runner


def stop(work_dir: Path, *hooks: Hook, **settings: Any) -> tuple[int, dict[str, Any]]:
    """The status that a run ended with, and the checkpoint that it points to."""
    with pytest.raises(SystemExit) as ended:
        run(work_dir, *hooks, name="stopped", **settings)
    STOP_SIGNALS.restore()  # as the end of the process does
    pointer = Path(work_dir, "last_checkpoint")
    return ended.value.code, torch.load(pointer.read_text(), weights_only=False)


@pytest.mark.parametrize(
    ("number", "status"), ((signal.SIGTERM, 143), (signal.SIGUSR1, 75), (signal.SIGINT, 130))
)
@pytest.mark.parametrize("by_epoch", (True, False))
def test_the_iteration_is_finished_and_saved(
    number: int, status: int, by_epoch: bool, tmp_path: Path
) -> None:
    send = Send(number, "before_train_iter", 1)
    code, checkpoint = stop(tmp_path, send, by_epoch=by_epoch)
    assert code == status
    assert checkpoint["meta"]["iter"] == 2
    assert checkpoint["meta"]["epoch"] == 0
    assert "validation_pending" not in checkpoint


def test_before_the_first_iteration_the_first_is_saved(tmp_path: Path) -> None:
    code, checkpoint = stop(tmp_path, Send(signal.SIGTERM, "before_train_epoch", 0))
    assert (code, checkpoint["meta"]["iter"]) == (143, 1)


def test_the_hook_that_can_save_at_once_is_asked(tmp_path: Path) -> None:
    class Saving(CheckpointHook):
        def save_now(self, runner: Any, iterations: int | None = None) -> None:
            calls.append(iterations)

    calls: list[int | None] = []
    hooks = {"checkpoint": Saving(interval=5)}
    with pytest.raises(SystemExit):
        run(
            *(tmp_path, Send(signal.SIGTERM, "before_train_iter", 2)),
            name="asked",
            default_hooks=hooks,
        )
    assert calls == [3]
    assert not (tmp_path / "last_checkpoint").exists()


@pytest.mark.parametrize("by_epoch", (True, False))
def test_a_validation_that_was_cut_off_is_done_on_resuming(by_epoch: bool, tmp_path: Path) -> None:
    expected = Metrics()
    whole = run(tmp_path / "whole", EMAHook(), expected, by_epoch=by_epoch, name="whole")
    send, cut = Send(signal.SIGUSR1, "before_val_iter", 4), Metrics()
    code, checkpoint = stop(tmp_path / "cut", EMAHook(), send, cut, by_epoch=by_epoch)
    assert (code, cut.seen) == (75, [])
    assert checkpoint["validation_pending"] is True
    assert checkpoint["meta"]["iter"] == 4
    resumed = run(
        *(tmp_path / "cut", EMAHook(), cut),
        by_epoch=by_epoch,
        name="resumed",
        resume=True,
        load_from=(tmp_path / "cut" / "last_checkpoint").read_text(),
    )
    assert cut.seen == expected.seen
    assert [iteration for iteration, _ in cut.seen] == [4, 8]
    assert torch.equal(resumed.model.weight, whole.model.weight)


def test_nothing_is_handled_when_the_training_is_done(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path, name="done")
    assert signal.getsignal(signal.SIGTERM) == before
    assert not STOP_SIGNALS.deferred


def test_a_run_of_ours_has_the_hook_once_and_handles_signals_while_it_trains(
    tmp_path: Path,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    runner = run(tmp_path, name="registered")
    with stopping_at_signals(runner):
        assert sum(isinstance(hook, SignalHook) for hook in runner.hooks) == 1
    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, SignalHook)]

    def fail() -> None:
        with stopping_at_signals(runner):
            assert signal.getsignal(signal.SIGTERM) == STOP_SIGNALS._handle
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert isinstance(runner.hooks[-1], SignalHook)
    assert signal.getsignal(signal.SIGTERM) == before
