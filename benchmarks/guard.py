"""What ``mmvan.NaNGuardHook`` adds to a training step, in CPU time: ``python guard.py [SIZE]``.

A step of a classifier on a small batch is the worst case: the guard's work grows with the number of
parameters and layers, the step's with the images, too.
"""

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement

from mmvan import get_model
from mmvan.engine.nan_guard import NaNGuardHook

BATCH = 8
STEPS = 5


class Clock:
    """Adds up the CPU time of all threads that a function takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - start

        return call


def measure(size: str) -> tuple[float, float]:
    """CPU seconds per step of the guard, and of everything.

    Args:
        size: Of VAN, such as ``t`` or ``b``.

    Returns:
        tuple[float, float]: The guard's share and the whole step.
    """
    model = get_model(f"van_{size}_in1k").train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    runner = SimpleNamespace(model=model, optim_wrapper=OptimWrapper(optimizer), iter=0)
    guard, clock = NaNGuardHook(), Clock()
    for name in ("_before_forward", "_after_forward", "_before_step", "_after_step"):
        make = getattr(guard, name)
        setattr(guard, name, lambda *args, make=make: clock.timed(make(*args)))
    guard.before_run(runner)
    samples = [_sample(model) for _ in range(BATCH)]
    images = [torch.randint(0, 255, (3, 224, 224), dtype=torch.uint8) for _ in range(BATCH)]
    batch = {"inputs": torch.stack(images), "data_samples": samples}
    after = clock.timed(guard.after_train_iter)
    for step in range(STEPS + 1):
        if step == 1:  # The first allocates.
            clock.seconds, start = 0.0, time.process_time()
        model.train_step(batch, runner.optim_wrapper)
        after(runner, step)
    return clock.seconds / STEPS, (time.process_time() - start) / STEPS


def _sample(model: Any) -> BaseDataElement:
    from mmpretrain.structures import DataSample

    return DataSample().set_gt_label(torch.randint(model.head.num_classes, (1,)))


def main() -> None:
    """Print the shares."""
    for size in sys.argv[1:] or ("t", "b"):
        guard, step = measure(size)
        print(
            f"van_{size}, batch {BATCH}: guard {1e3 * guard:.2f} ms of {1e3 * step:.0f} ms of CPU "
            f"time per step, {guard / step:.2%}"
        )


if __name__ == "__main__":
    main()
