"""Which key of a config it was whose part could not be built."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from mmengine.config import Config
from mmengine.registry import build_from_cfg
from mmengine.runner import Runner

from mmvan.config_check.nodes import nodes_of
from mmvan.errors import ConfigError, UserError

# What the Runner's functions read, where the settings themselves are not at hand.
_READ_BY = {
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
    "register_hook": "custom_hooks",
    "scale_lr": "auto_scale_lr",
    "set_randomness": "randomness",
    "setup_env": "env_cfg",
    "wrap_model": "model_wrapper_cfg",
}
_RUNNER_FILE = Path(Runner.__init__.__code__.co_filename)


@contextmanager
def naming_keys(cfg: Config) -> Iterator[None]:
    """Turn what goes wrong while parts of a config are built into one message with the key.

    What goes wrong later, in a step of a training, passes through unchanged.

    Args:
        cfg: The config that is built in the block.

    Raises:
        ConfigError: Something cannot be built. The exception that said so is its cause.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        key = _key_of(cfg, error.__traceback__)
        if key is None:
            raise
        raise ConfigError(f"{cfg.filename}: {key} cannot be built: {_reason(error)}") from error


def _key_of(cfg: Config, trace: TracebackType | None) -> str | None:
    """The key of the innermost part that was being built; None where nothing was."""
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    for frame in reversed(frames):
        settings = _settings_in(frame)
        if settings is not None:
            key = _place_of(cfg, settings)
            if key:
                return key
    names = [f.f_code.co_name for f in frames if Path(f.f_code.co_filename) == _RUNNER_FILE]
    if "run_iter" in names:
        return None
    return next((_READ_BY[name] for name in reversed(names) if name in _READ_BY), None)


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
    for top in cfg.keys():  # noqa: SIM118  # a Config is iterated over by its values' names
        for node in nodes_of(top, cfg[top]):
            same = sum(settings.get(name) == value for name, value in node.settings.items())
            if node.settings.get("type") == settings.get("type") and same > best:
                best, key = same, node.key
    return key


def _reason(error: Exception) -> str:
    """What the exception says, and where it was raised."""
    text = " ".join(str(error).split()) or "no reason given"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"
