"""What a whole training step costs with everything of mmvan, beside MMEngine's own hooks and loop.

Two processes train the same network on the same images in turns of one iteration: one with mmvan's
loop, CheckpointHook, NaNGuardHook, BadDataHook and signals, the other without. Each measures its
own CPU time, and the turns are compared in pairs, so that it matters little what else the machine
does and how fast its processor is at the moment.

The time of the network itself differs from turn to turn by more than all hooks take. So the same is
measured once more with a stand-in for its forward and backward pass that has the same gradients at
hand; all the rest, from loading the images to the step of the optimizer, is as it was.
"""

import os
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.data.sample import prepare
from mmvan.engine.run import build_runner
from mmvan.engine.signal_hook import stopping_at_signals

ROOT = Path(__file__).resolve().parents[2]
SIDE, BATCH = 224, 16
_UNTIMED = 2  # The first iterations allocate memory.
_OURS = ("mmvan.NaNGuardHook", "mmvan.BadDataHook")


@dataclass
class StepCost:
    """CPU time of iterations, in turns.

    Args:
        plain: Seconds of each with MMEngine's own hooks and loop.
        guarded: Seconds of each with mmvan's.
    """

    plain: list[float]
    guarded: list[float]

    @property
    def more(self) -> list[float]:
        """By how many seconds each iteration took longer."""
        pairs = zip(self.plain, self.guarded, strict=True)
        return [guarded - plain for plain, guarded in pairs]

    def row(self, name: str, step: float) -> str:
        """A row of :func:`table`, with shares of a step of so many seconds."""
        low, middle, high = quantiles(self.more, n=4)
        return (
            f"| {name} | {len(self.plain)} | {median(self.plain):.4f} | "
            f"{median(self.guarded):.4f} | {middle:+.4f} ({low:+.4f} to {high:+.4f}) | "
            f"{100 * middle / step:+.2f} % |"
        )


@dataclass(frozen=True)
class How:
    """What is measured.

    Args:
        name: For the table.
        network: Whether the network computes, or a stand-in.
        workers: Processes that load images, whose time is not counted.
    """

    name: str
    network: bool = False
    workers: int = 0


WHOLE = How("whole", network=True)
REST = How("without the network's forward and backward pass")
OWN = How("and with loading in a worker, whose time is not counted", workers=1)


class _Gradients(torch.autograd.Function):
    """A loss with gradients that are there already."""

    @staticmethod
    def forward(ctx: Any, gradients: list[Tensor], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return torch.ones(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(gradient.clone() for gradient in ctx.gradients)


def _stand_in(model: nn.Module) -> Any:
    """What a model computes, without the time for it."""
    parameters = list(model.parameters())
    gradients = [torch.randn_like(parameter) * 1e-3 for parameter in parameters]

    def forward(inputs: Tensor, data_samples: Any = None, mode: str = "loss") -> dict[str, Tensor]:
        return {"loss": _Gradients.apply(gradients, *parameters)}

    return forward


class _TurnsHook(Hook):
    """Measures each iteration and lets the other process have the next one."""

    priority = "LOWEST"

    def __init__(self, turns: Connection, iterations: int) -> None:
        self.turns, self.iterations = turns, iterations
        self.seconds: list[float] = []
        self.start = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        if not self.seconds:
            self._wait()

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        self.seconds.append(time.process_time() - self.start)
        if len(self.seconds) == self.iterations:
            self.turns.send(self.seconds)
            os._exit(0)
        self.turns.send(None)
        self._wait()

    def _wait(self) -> None:
        self.turns.recv()
        self.start = time.process_time()


def _config(guarded: bool, folder: Path, workers: int) -> Config:
    cfg = Config.fromfile(ROOT / "configs/classification/van_t_in1k_sample.py")
    loader = cfg.train_dataloader
    loader.update(batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)
    loader.dataset.data_root = str(folder / "data" / "imagenet")
    loader.dataset.pipeline[1].scale = SIDE
    loader.collate_fn = {"type": "default_collate"}
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.default_hooks.checkpoint.interval = sys.maxsize  # Without a save.
    cfg.train_cfg.max_epochs = 1000
    cfg.work_dir = str(folder / ("guarded" if guarded else "plain"))
    cfg.launcher = "none"
    if not guarded:
        cfg.train_cfg.type = "EpochBasedTrainLoop"
        cfg.default_hooks.checkpoint.type = "CheckpointHook"
        cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook["type"] not in _OURS]
    return cfg


def _train(turns: Connection, guarded: bool, folder: Path, iterations: int, how: How) -> None:
    torch.set_num_threads(1)
    log = os.open(folder / f"log_{guarded}.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    runner = build_runner(_config(guarded, folder, how.workers))
    if not how.network:
        runner.model.forward = _stand_in(runner.model)
    runner.register_hook(_TurnsHook(turns, iterations))
    if not guarded:
        runner.train()
        return
    with stopping_at_signals(runner):
        runner.train()


def _fork(guarded: bool, folder: Path, iterations: int, how: How) -> Connection:
    own, others = Pipe()
    if os.fork():
        others.close()
        return own
    own.close()
    try:
        _train(others, guarded, folder, iterations, how)
    except BaseException:  # noqa: BLE001 - the child ends here, whatever happened.
        traceback.print_exc()
    finally:
        os._exit(1)


def measure(folder: Path, repeats: int, how: How) -> StepCost:
    """Time iterations with and without mmvan's hooks and loop.

    Args:
        folder: For images and logs.
        repeats: Iterations of each.
        how: Which part of them.
    """
    prepare(folder / "data", "cls", 0, (8, 1))  # Of each class; five iterations per epoch.
    iterations = repeats + _UNTIMED
    plain, guarded = (_fork(guards, folder, iterations, how) for guards in (False, True))
    answers: list[Any] = []
    for _ in range(iterations):
        answers = []
        for turns in (plain, guarded):
            turns.send(None)
            answers.append(turns.recv())  # None, and all that it measured in the end.
    return StepCost(*(seconds[_UNTIMED:] for seconds in answers))


def table(costs: dict[str, StepCost]) -> str:
    """All in Markdown; shares are of the first one's, the whole step."""
    step = median(next(iter(costs.values())).plain)
    head = [
        "iteration",
        "turns",
        "MMEngine's (s)",
        "mmvan's (s)",
        "difference (quartiles)",
        "share",
    ]
    rows = [cost.row(name, step) for name, cost in costs.items()]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])
