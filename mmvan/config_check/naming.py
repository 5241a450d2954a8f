"""Which key of a config it was whose part could not be built, or fails in the first step."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import build_from_cfg
from mmengine.runner import Runner

from mmvan.config_check.nodes import Node, nodes_of
from mmvan.errors import ConfigError, UserError

# What the Runner's functions read, where the settings themselves are not at hand.
_READ_BY = {
    "__init__": "the run",
    "build_train_loop": "train_cfg",
    "build_val_loop": "val_cfg",
    "build_test_loop": "test_cfg",
    "build_evaluator": "val_evaluator",
    "build_optim_wrapper": "optim_wrapper",
    "build_param_scheduler": "param_scheduler",
    "build_visualizer": "visualizer",
    "build_log_processor": "log_processor",
    "register_default_hooks": "default_hooks",
    "register_custom_hooks": "custom_hooks",
    "scale_lr": "auto_scale_lr",
    "set_randomness": "randomness",
    "setup_env": "env_cfg",
    "wrap_model": "model_wrapper_cfg",
}
_STARTS = (Runner.train.__code__, Runner.test.__code__)
_STEPS = {"train_step": "train", "val_step": "val", "test_step": "test"}  # of every model
# Disks, memory, and another process that has ended.
_NOT_OF_THE_CONFIG = (OSError, MemoryError, torch.OutOfMemoryError, torch.distributed.DistError)
_RUNNER_FILE = Path(Runner.__init__.__code__.co_filename)


@contextmanager
def naming_keys(cfg: Config) -> Iterator[None]:
    """Turn what goes wrong because of the config into one message with the key.

    That is what cannot be built, and what fails in the first step of a training or of a test: in
    the model, by its settings. What goes wrong later passes through unchanged.

    Args:
        cfg: The config that is built and run in the block.

    Raises:
        ConfigError: As said. The exception that said so is its cause.
    """
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        if isinstance(error, TypeError) and error.__context__:
            # MMEngine's `call_hook` raises TypeErrors anew, without where they come from.
            frames += [frame for frame, _ in traceback.walk_tb(error.__context__.__traceback__)]
        key = _built_key(cfg, frames)
        if key is not None:
            raise ConfigError(f"{cfg.filename}: {key} cannot be built: {_reason(error)}") from error
        key = _run_key(cfg, frames, error)
        if key is None or isinstance(error, _NOT_OF_THE_CONFIG):
            raise
        raise ConfigError(f"{cfg.filename}: {key} does not work: {_reason(error)}") from error


def _built_key(cfg: Config, frames: Sequence[FrameType]) -> str | None:
    """The key of the innermost part that was being built; None where nothing was."""
    for frame in reversed(frames):
        settings = _settings_in(frame)
        if settings is not None:
            key = _place_of(cfg, settings)
            if key:
                return key
    names = [f.f_code.co_name for f in frames if Path(f.f_code.co_filename) == _RUNNER_FILE]
    return next((_READ_BY[name] for name in reversed(names) if name in _READ_BY), None)


def _run_key(cfg: Config, frames: Sequence[FrameType], error: Exception) -> str | None:
    """What failed in the first step: the settings in use, else the part of the model."""
    runner = next((f.f_locals["self"] for f in frames if f.f_code in _STARTS), None)
    later = any(f.f_code.co_name == "run_iter" and f.f_locals.get("idx", 0) for f in frames)
    if runner is None or runner.iter or later:
        return None
    names = {id(module): name for name, module in runner.model.named_modules()}
    loader = _loader(frames)
    # From the inside out: what a caller of the failing part holds says nothing of it.
    for depth, frame in reversed([*enumerate(frames)]):
        acting = frame.f_locals.get("self")
        if isinstance(acting, ConfigDict) and (key := _same_settings(cfg, acting)):
            return key
        if isinstance(acting, BaseMetric):
            return "val_evaluator" if _STARTS[0] in {f.f_code for f in frames} else "test_evaluator"
        if isinstance(acting, BaseDataPreprocessor) and isinstance(error, KeyError) and loader:
            return f"{loader}_dataloader.dataset.pipeline"  # which did not pack it
        if id(acting) in names:
            key = f"model.{names[id(acting)]}".rstrip(".")
            settings = _settings_read(cfg, frames[depth:])
            return f"{key} with {settings}" if settings else key
    return None


def _loader(frames: Sequence[FrameType]) -> str | None:
    """Whose batch the model was given: of ``train``, ``val`` and ``test``; None if of none."""
    steps = (_STEPS.get(frame.f_code.co_name) for frame in frames)
    return next(filter(None, steps), None)


def _settings_read(cfg: Config, frames: Sequence[FrameType]) -> str | None:
    """The innermost settings of the model that a function was given, such as its ``test_cfg``."""
    values = (value for frame in reversed(frames) for value in frame.f_locals.values())
    found = (_same_settings(cfg, value) for value in values if isinstance(value, ConfigDict))
    return next(filter(None, found), None)


def _same_settings(cfg: Config, settings: Mapping[str, Any]) -> str | None:
    nodes = (node for node in nodes_of("model", cfg.get("model")) if node.settings)
    return next((node.key for node in nodes if _equal(node.settings, settings)), None)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (RuntimeError, ValueError):  # Tensors and arrays inside have no single truth value.
        return False


def _nodes(cfg: Config) -> Iterator[Node]:
    for key in cfg.keys():  # noqa: SIM118  # a Config is iterated over by its values' names
        yield from nodes_of(key, cfg[key])


def _settings_in(frame: FrameType) -> Mapping[str, Any] | None:
    """What a frame builds from, if it belongs to a function that builds."""
    name = {
        build_from_cfg.__code__: "cfg",
        Runner.build_dataloader.__code__: "dataloader",
    }.get(frame.f_code)
    value = frame.f_locals.get(name) if name else None
    return value if isinstance(value, Mapping) else None


def _place_of(cfg: Config, settings: Mapping[str, Any]) -> str | None:
    """Where such settings stand in the config: those that differ by what builders change."""
    best, key = 0, None
    for node in _nodes(cfg):
        same = sum(_equal(settings.get(name), value) for name, value in node.settings.items())
        if node.settings.get("type") == settings.get("type") and same > best:
            best, key = same, node.key
    return key


def _reason(error: Exception) -> str:
    """What the exception says, and where it was raised."""
    text = " ".join(str(error).split()) or "no reason given"
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__}: {text} ({place}; MMVAN_TRACEBACK=1 shows the traceback)"
