"""Configs that are well formed and cannot be meant: found before anything is built."""

from collections.abc import Iterator, Sequence

from mmengine.config import Config

from mmvan.config_check.annotations import annotation_problems
from mmvan.config_check.arguments import argument_problems, layer_problems
from mmvan.config_check.channels import channel_problems
from mmvan.config_check.classes import class_problems
from mmvan.config_check.evaluation import evaluation_problems
from mmvan.config_check.lengths import length_problems
from mmvan.config_check.numbers import number_problems
from mmvan.config_check.shapes import shape_problems
from mmvan.config_check.spelling import spelling_problems
from mmvan.config_check.weights import weight_problems
from mmvan.errors import ConfigError

__all__ = ["check_config", "find_problems"]

# What the commands build; a part that is not used may hold anything.
_SHARED = ("model", "default_hooks", "custom_hooks", "env_cfg", "randomness", "visualizer")
_TRAINING = ("train_dataloader", "optim_wrapper", "param_scheduler", "auto_scale_lr")
_MAX_PROBLEMS = 20


def find_problems(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    """Finds what a config names, numbers and combines that cannot work.

    Args:
        cfg: The whole config; its libraries are imported.
        loaders: What will be used: of ``train``, ``val`` and ``test``.

    Yields:
        One message for each; each names the key, what is there and what was expected.
    """
    keys = _used_keys(loaders)
    badly_shaped = list(shape_problems(cfg, keys))
    yield from badly_shaped
    if badly_shaped:
        return
    for key in keys:
        value = cfg.get(key)
        if key != "model":
            yield from argument_problems(key, value, cfg.default_scope)
        yield from number_problems(key, value, cfg.default_scope)
        if key.endswith("_dataloader"):
            yield from class_problems(key, value, cfg.default_scope)
    yield from layer_problems(cfg.model, cfg.default_scope)
    yield from channel_problems(cfg.model, cfg.default_scope)
    if "train" in loaders:
        yield from weight_problems(cfg.model)
        yield from annotation_problems(cfg)
        yield from spelling_problems(cfg)
        yield from length_problems(cfg, loaders)
    yield from evaluation_problems(cfg, [loader for loader in loaders if loader != "train"])


def _used_keys(loaders: Sequence[str]) -> list[str]:
    keys = [*_SHARED, *(_TRAINING if "train" in loaders else ())]
    for loader in loaders:
        keys += [f"{loader}_dataloader", f"{loader}_evaluator", f"{loader}_cfg"]
    return list(dict.fromkeys(keys))


def check_config(cfg: Config, loaders: Sequence[str]) -> None:
    """Refuses a config that :func:`find_problems` finds anything wrong with.

    Args:
        cfg: As for :func:`find_problems`.
        loaders: As for :func:`find_problems`.

    Raises:
        ConfigError: The message lists every problem.
    """
    problems = list(dict.fromkeys(find_problems(cfg, loaders)))
    if not problems:
        return
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    more = f"\n   and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
    lines = [f"\n{number}. {text}" for number, text in enumerate(problems[:_MAX_PROBLEMS], 1)]
    raise ConfigError(f"{cfg.filename}: {count}:{''.join(lines)}{more}")
