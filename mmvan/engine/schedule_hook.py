"""The hook that tells what a resumed run's schedule is, when the config now has another one."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict, _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmvan.errors import ConfigError
from mmvan.registry import HOOKS

_FOLLOW = ("checkpoint", "config")
# What a scheduler has become, beside what it was made with.
_PROGRESS = ("base_values", "last_step", "_global_step", "_last_value", "verbose")
# MMEngine's default for `end` (mmengine.optim.scheduler.param_scheduler.INF).
_NO_END = 10**9
# Settings of an optimizer that a user changes; the others are its implementation.
_RATES = ("lr", "weight_decay", "momentum", "betas")


@HOOKS.register_module()
class ResumedScheduleHook(Hook):
    """Compares the schedule of a run that is resumed with that of its config.

    MMEngine goes on with the schedulers and the rates of the checkpoint, whatever the config says
    by now, and ends at once where the checkpoint is the last one. Both are told in one line each.

    Args:
        follow: ``checkpoint``, or ``config``: the schedulers and rates of the config, at the place
            where the run is, as if it had begun with them.

    Raises:
        ConfigError: ``follow`` is something else.
    """

    def __init__(self, follow: str = "checkpoint") -> None:
        if follow not in _FOLLOW:
            expected = " or ".join(map(repr, _FOLLOW))
            raise ConfigError(f"ResumedScheduleHook: follow is {follow!r}; expected {expected}")
        self.follow = follow
        self._before: Mapping[str, Any] | None = None
        self._differing: list[str] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare what the checkpoint has with what was built; the runner loads it after this."""
        if not runner.cfg.get("resume") or "message_hub" not in checkpoint:
            return
        self._before = checkpoint["message_hub"]["runtime_info"]
        self._differing = list(_differences(runner, checkpoint))
        if self.follow == "config" and self._differing:
            _take_from_config(runner, checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Say what is not as a reader of the config expects."""
        before, self._before = self._before, None
        if before is None:
            return
        word, key = ("epoch", "max_epochs")
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            word, key = ("iteration", "max_iters")
        place = runner.epoch if word == "epoch" else runner.iter
        old, new = before.get(key), getattr(runner, key)
        if place >= new:
            runner.logger.warning(
                f"the run that is resumed has finished: {word} {place} of {new}. To go on, give it "
                f"another end: --cfg-options train_cfg.{key}=N, with --stretch-schedule"
            )
        elif old != new or self._differing:
            ends = f"was to end at {word} {old}, now at {new}" if old != new else ""
            runner.logger.warning(f"resumed at {word} {place}: {self._told(runner, ends)}")

    def _told(self, runner: Runner, ends: str) -> str:
        differing = "; ".join(self._differing)
        if self.follow == "config":
            parts = [ends, f"the schedule is the config's ({differing})" if differing else ""]
            return "; ".join(filter(None, parts))
        changes = ", ".join(map(_end, _schedulers(runner))) or "none"
        parts = [ends, f"the schedule is the checkpoint's (schedulers end at: {changes})"]
        if differing:
            parts.append(f"the config's is not used ({differing})")
        return "; ".join([*filter(None, parts), "--stretch-schedule takes the config's, stretched"])


def _differences(runner: Runner, checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """What the config now has and the checkpoint has otherwise."""
    saved = _flat(checkpoint.get("param_schedulers", ()))
    built = [scheduler.state_dict() for scheduler in _schedulers(runner)]
    if len(saved) != len(built):
        yield f"{len(built)} schedulers in the config, {len(saved)} in the checkpoint"
    for now, before in zip(built, saved, strict=False):
        for key in sorted(now.keys() - _PROGRESS):
            if _differ(now[key], before.get(key)):
                yield f"{key} {now[key]} in the config, {before.get(key)} in the checkpoint"
    for group, before in _groups(runner, checkpoint):
        for key in _RATES:
            start = f"initial_{key}"
            first, then = group.get(start, group.get(key)), before.get(start, before.get(key))
            if key in group and _differ(first, then):
                yield f"{key} {first} in the config, {then} in the checkpoint"
                return


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except (RuntimeError, ValueError):  # Tensors and arrays of several values, in users' own.
        return str(one) != str(other)


def _take_from_config(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Bring the schedulers that were built to where the run is, and write the rates they reach."""
    meta = checkpoint["meta"]
    schedulers = list(_schedulers(runner))
    length = meta["iter"] // meta["epoch"] if meta["epoch"] else 0
    with warnings.catch_warnings():
        # The optimizer that steps before the schedulers is the checkpoint's.
        warnings.filterwarnings("ignore", "Detected call of `scheduler.step", UserWarning)
        for iteration in range(1, meta["iter"] + 1):
            ends_epoch = length and iteration % length == 0 and iteration // length <= meta["epoch"]
            for scheduler in schedulers:
                if not scheduler.by_epoch or ends_epoch:
                    scheduler.step()
    del checkpoint["param_schedulers"]
    for group, before in _groups(runner, checkpoint):
        for key in {*_RATES, *(f"initial_{name}" for name in _RATES)} & group.keys():
            before[key] = group[key]


def _groups(runner: Runner, checkpoint: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The groups of parameters of the optimizer that was built and of the one that was saved."""
    wrapper = runner.optim_wrapper
    pairs = (
        [(wrapper[name], checkpoint["optimizer"][name]) for name in wrapper.keys()]  # noqa: SIM118
        if isinstance(wrapper, OptimWrapperDict)
        else [(wrapper, checkpoint["optimizer"])]
    )
    for built, saved in pairs:
        yield from zip(built.optimizer.param_groups, saved["param_groups"], strict=False)


def _schedulers(runner: Runner) -> list[_ParamScheduler]:
    return _flat(runner.param_schedulers or ())


def _flat(schedulers: Any) -> list[Any]:
    """A list, or lists by the name of the optimizer."""
    if isinstance(schedulers, Mapping):
        return [one for part in schedulers.values() for one in part]
    return list(schedulers)


def _end(scheduler: _ParamScheduler) -> str:
    unit = "epoch" if scheduler.by_epoch else "iteration"
    return "the run's end" if scheduler.end >= _NO_END else f"{unit} {scheduler.end}"
