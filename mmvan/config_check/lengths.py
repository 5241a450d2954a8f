"""Loops, schedules and hooks that count different things, so that they never act."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from mmvan.config_check.nodes import schedulers_of
from mmvan.type_name import type_name

# Samplers of MMEngine and mmpretrain that have no end.
_ENDLESS = ("InfiniteSampler", "GroupMultiSourceSampler", "MultiSourceSampler")


def length_problems(cfg: Config) -> Iterator[str]:
    """Finds what would silently not happen in a training.

    Args:
        cfg: A config with ``train_cfg``.

    Yields:
        One message for each.
    """
    loop = cfg.train_cfg
    by_epoch = loop.get("by_epoch", not type_name(loop).startswith("IterBased"))
    if not by_epoch:
        yield from _never_counted(cfg)
    elif type_name(_sampler(cfg)) in _ENDLESS:
        yield (
            f"train_dataloader.sampler.type is {type_name(_sampler(cfg))!r}, which has no end: the "
            "first epoch would not end. Expected DefaultSampler, or a train_cfg by iterations"
        )
    for index, scheduler in enumerate(schedulers_of(cfg.get("param_scheduler"))):
        begin, end = scheduler.get("begin", 0), scheduler.get("end")
        if isinstance(begin, int) and isinstance(end, int) and end <= begin:
            yield f"param_scheduler[{index}].end is {end}; expected more than begin={begin}"
    for loader in ("val_dataloader", "test_dataloader"):
        if (cfg.get(loader) or {}).get("drop_last"):
            yield f"{loader}.drop_last is True: the last images would not be evaluated"


def _never_counted(cfg: Config) -> Iterator[str]:
    """What acts at the end of an epoch, in a run by iterations, which has none."""
    for index, scheduler in enumerate(schedulers_of(cfg.get("param_scheduler"))):
        if scheduler.get("by_epoch", True):
            yield (
                f"param_scheduler[{index}].by_epoch is True, but train_cfg counts iterations: it "
                "would never change anything. Expected by_epoch=False"
            )
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint")
    if isinstance(checkpoint, Mapping) and checkpoint.get("by_epoch", True):
        yield (
            "default_hooks.checkpoint.by_epoch is True, but train_cfg counts iterations: no "
            "checkpoint would be saved. Expected by_epoch=False, and interval in iterations"
        )


def _sampler(cfg: Config) -> Mapping[str, Any]:
    return cfg.train_dataloader.get("sampler") or {}
