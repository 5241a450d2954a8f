"""The schedules of a config, and how to make them longer."""

import re
from collections.abc import MutableMapping
from typing import Any

from mmengine.config import Config

from mmvan.config_check.nodes import schedulers_of
from mmvan.errors import ConfigError
from mmvan.type_name import type_name

# Schedulers whose curve is the same one, N times as long, when these lengths are multiplied.
_STRETCHABLE = re.compile(
    "(Constant|CosineAnnealing|CosineRestart|Exponential|Linear|MultiStep|Poly|Step)"
    "(LR|Momentum|ParamScheduler)"
)
_LENGTHS = ("T_max", "step_size", "milestones", "periods")


def multiply(settings: MutableMapping[str, Any], keys: tuple[str, ...], factor: float) -> None:
    """Multiply lengths, or lists of them, that are counted in whole steps.

    Args:
        settings: Changed in place.
        keys: Those that the settings lack, or that are None, are left out.
        factor: The factor; results are rounded, to 1 at least where the length was.
    """
    for key in keys:
        if settings.get(key) is not None:
            settings[key] = _times(settings[key], factor)


def multiply_curve(scheduler: MutableMapping[str, Any], factor: float, option: str) -> None:
    """Make the curve of a scheduler longer; where it begins and ends is the caller's.

    Args:
        scheduler: Its settings, changed in place.
        factor: How many times as long.
        option: The option that asked for it, for the message.

    Raises:
        ConfigError: Nothing is known of how the scheduler's curve becomes longer.
    """
    kind = type_name(scheduler)
    if not _STRETCHABLE.fullmatch(kind):
        raise ConfigError(
            f"{option}: param_scheduler has a {kind}, which cannot be made {factor:g} times as "
            "long. Use another schedule, or write the longer one into a config of your own and "
            "leave out the option"
        )
    multiply(scheduler, _LENGTHS, factor)
    if kind.startswith("Exponential"):
        scheduler["gamma"] **= 1 / factor


def stretch(
    cfg: Config,
    epochs: tuple[int, int],
    iterations: tuple[int, int],
    option: str = "--stretch-schedule",
) -> None:
    """Fit the schedules to a run of another length.

    A scheduler that acts beyond half of the old run, or that has no end, is stretched from its
    beginning on; one that is over by then is a warm-up, and stays. One that is made for the new
    length, because the config was edited, stays too.

    Args:
        cfg: The config, changed in place.
        epochs: Of the old and of the new run.
        iterations: Of the old and of the new run.
        option: The option that asked for it, for the message.

    Raises:
        ConfigError: There is a scheduler that cannot be stretched.
    """
    for scheduler in schedulers_of(cfg.get("param_scheduler")):
        old, new = epochs if scheduler.get("by_epoch", True) else iterations
        begin = scheduler.get("begin", 0)
        end = scheduler.get("end")
        reach = end if end is not None else begin + (scheduler.get("T_max") or old)
        if reach <= old / 2 or abs(reach - new) < abs(reach - old):
            continue
        factor = (new + reach - old - begin) / (reach - begin)
        multiply_curve(scheduler, factor, option)
        if end is not None:
            scheduler["end"] = new + end - old


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, (list, tuple)):
        return [_times(item, factor) for item in value]
    return max(round(value * factor), min(value, 1))
