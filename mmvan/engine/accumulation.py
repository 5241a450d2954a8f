"""Gradient accumulation that keeps the schedule: every optimizer step is the recipe's.

MMEngine counts iterations by forward passes. With N of them per optimizer step, whatever a config
counts in iterations becomes N times as long; what it counts in epochs stays, because an epoch has
the same images.
"""

from collections.abc import MutableMapping
from typing import Any

from mmengine.config import Config

from mmvan.config_check.nodes import schedulers_of
from mmvan.engine.batch import Batch, batch_of
from mmvan.engine.processes import Processes
from mmvan.engine.schedules import multiply, multiply_curve
from mmvan.errors import ConfigError
from mmvan.type_name import type_name

AUTO = "auto"
_LOOP_LENGTHS = ("max_iters", "val_begin", "val_interval", "dynamic_intervals")
_CHECKPOINT_LENGTHS = ("interval", "save_begin")


def accumulate_gradients(cfg: Config, requested: str, processes: Processes) -> None:
    """Sum the gradients of several forward passes before each step of the optimizer.

    Args:
        cfg: The config, changed in place: the optimizer wrapper, and everything that is counted in
            iterations.
        requested: The number of forward passes, or ``auto`` for the number that makes the batch
            that of the recipe.
        processes: This process among the others.

    Raises:
        ConfigError: No whole number makes the recipe's batch, the config does not state it, it
            accumulates already, or it has a schedule that cannot be stretched.
    """
    batch = batch_of(cfg, processes)
    if batch.accumulation != 1:
        raise ConfigError(
            f"--accumulate {requested}: {cfg.filename} accumulates already "
            f"(optim_wrapper.accumulative_counts={batch.accumulation}), with a schedule made for "
            "it. Leave out --accumulate."
        )
    count = _count_of_recipe(batch) if requested == AUTO else int(requested)
    cfg.optim_wrapper.accumulative_counts = count
    if count > 1:
        _stretch(cfg, count)


def _count_of_recipe(batch: Batch) -> int:
    if batch.recipe is None:
        raise ConfigError(
            "--accumulate auto: the config does not say which batch its recipe has. Set it, "
            "--cfg-options auto_scale_lr.base_batch_size=N, or give a number: --accumulate N"
        )
    count = batch.accumulation_of_recipe
    if count is None:
        forward = batch.processes * batch.per_process
        raise ConfigError(
            f"--accumulate auto: {batch.processes} x batch {batch.per_process} = {forward} does "
            f"not divide the recipe's batch of {batch.recipe}. {_other_batches(batch)}, or scale "
            "the learning rate instead: --auto-scale-lr"
        )
    return count


def _other_batches(batch: Batch) -> str:
    recipe, processes = batch.recipe or 0, batch.processes
    sizes = [n for n in range(1, recipe // processes + 1) if recipe % (processes * n) == 0]
    if sizes:
        numbers = ", ".join(map(str, sizes))
        return f"Choose train_dataloader.batch_size (by --cfg-options) from {numbers}"
    numbers = ", ".join(str(n) for n in range(1, recipe + 1) if recipe % n == 0)
    return f"No batch size does with {processes} processes: choose their number from {numbers}"


def _stretch(cfg: Config, count: int) -> None:
    if "max_iters" in cfg.train_cfg:
        multiply(cfg.train_cfg, _LOOP_LENGTHS, count)
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    if not checkpoint.get("by_epoch", True):
        multiply(checkpoint, _CHECKPOINT_LENGTHS, count)
    for scheduler in schedulers_of(cfg.get("param_scheduler")):
        if not scheduler.get("by_epoch", True):
            _stretch_scheduler(scheduler, count)
    for hook in cfg.get("custom_hooks") or []:
        if type_name(hook).endswith("EMAHook"):
            # Weights are averaged once per step, not once per forward pass.
            hook["interval"] = hook.get("interval", 1) * count
            multiply(hook, ("begin_iter",), count)


def _stretch_scheduler(scheduler: MutableMapping[str, Any], count: int) -> None:
    # The optimizer steps at the last of `count` forward passes: begun so much later, the schedule
    # has at that moment the recipe's value. It is at its end one step before `end`.
    multiply_curve(scheduler, count, f"--accumulate {count}")
    begin = scheduler.get("begin", 0)
    scheduler["begin"] = begin * count + count - 1
    if "end" in scheduler:
        scheduler["end"] = scheduler["begin"] + (scheduler["end"] - begin - 1) * count + 1
