"""Loops, schedules and hooks that count different things, so that they never act."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmvan.config_check.nodes import schedulers_of
from mmvan.config_check.parts import is_known
from mmvan.type_name import type_name

# Samplers of MMEngine and mmpretrain that have no end.
ENDLESS = ("InfiniteSampler", "GroupMultiSourceSampler", "MultiSourceSampler")


def length_problems(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    """Finds what would silently not happen in a training.

    Args:
        cfg: A config with ``train_cfg``.
        loaders: What will be used: of ``train``, ``val`` and ``test``.

    Yields:
        One message for each.
    """
    loop = cfg.train_cfg or {}
    if "type" in loop and not is_known(loop["type"], cfg.default_scope):
        return  # it counts as it likes
    by_epoch = loop.get("by_epoch", not type_name(loop).startswith("IterBased"))
    if not by_epoch:
        yield from _never_counted(cfg)
    elif type_name(_sampler(cfg)) in ENDLESS:
        yield (
            f"train_dataloader.sampler.type is {type_name(_sampler(cfg))!r}, which has no end: the "
            "first epoch would not end. Expected DefaultSampler, or a train_cfg by iterations"
        )
    for index, scheduler in enumerate(schedulers_of(cfg.get("param_scheduler"))):
        begin, end = scheduler.get("begin", 0), scheduler.get("end")
        if isinstance(begin, int) and isinstance(end, int) and end <= begin:
            yield f"param_scheduler[{index}].end is {end}; expected more than begin={begin}"
    for loader in loaders:
        if loader != "train" and (cfg.get(f"{loader}_dataloader") or {}).get("drop_last"):
            yield f"{loader}_dataloader.drop_last is True: the last images would not be evaluated"


def _never_counted(cfg: Config) -> Iterator[str]:
    """What acts at the end of an epoch, in a run by iterations, which has none."""
    for index, scheduler in enumerate(schedulers_of(cfg.get("param_scheduler"))):
        if not _acts_in_iterations(scheduler, cfg.default_scope):
            yield (
                f"param_scheduler[{index}].by_epoch is True, but train_cfg counts iterations: it "
                "would never change anything. Expected by_epoch=False"
            )
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint")
    if not isinstance(checkpoint, Mapping) or not checkpoint.get("by_epoch", True):
        return
    # With an interval of 1, which is the default, that may be meant: the last one alone is saved.
    interval = checkpoint.get("interval", 1)
    several = isinstance(interval, int) and interval > 1
    if several and is_known(checkpoint.get("type"), cfg.default_scope):
        yield (
            "default_hooks.checkpoint.by_epoch is True, but train_cfg counts iterations: no "
            "checkpoint would be saved before the end. Expected by_epoch=False, and interval in "
            "iterations"
        )


def _acts_in_iterations(scheduler: Mapping[str, Any], scope: str) -> bool:
    if not scheduler.get("by_epoch", True) or scheduler.get("convert_to_iter_based"):
        return True
    # A plateau is seen at the evaluations; a class of a user's own counts as it likes.
    kind = scheduler.get("type")
    return type_name(kind).startswith("ReduceOnPlateau") or not is_known(kind, scope)


def _sampler(cfg: Config) -> Mapping[str, Any]:
    return cfg.train_dataloader.get("sampler") or {}
