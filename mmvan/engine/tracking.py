"""Experiment trackers: MMEngine's visualization backends, by one option."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.errors import ConfigError

# MMEngine's backend, the package that it imports, and how that is installed.
TRACKERS = {
    "tensorboard": ("TensorboardVisBackend", "tensorboard", "tensorboard"),
    "wandb": ("WandbVisBackend", "wandb", "wandb"),
    "mlflow": ("MLflowVisBackend", "mlflow", "mlflow"),
}


def use_trackers(cfg: Config, trackers: Sequence[str]) -> None:
    """Add backends to the visualizer, which also gets what the logger hook logs.

    Local logs stay. A backend that the config has already keeps its own settings.

    Args:
        cfg: The config, with its ``work_dir``; changed in place.
        trackers: Names of :data:`TRACKERS`.

    Raises:
        ConfigError: A package is missing.
    """
    visualizer = {"type": "Visualizer", **(cfg.get("visualizer") or {})}
    backends = list(visualizer.get("vis_backends") or [{"type": "LocalVisBackend"}])
    used = {_bare(backend) for backend in backends}
    for tracker in dict.fromkeys(trackers):
        kind, package, install = TRACKERS[tracker]
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"--tracker {tracker}: the package {package} is not installed. "
                f"Do: pip install {install}"
            )
        if kind not in used:
            backends.append({"type": kind, **_settings(tracker, Path(cfg.work_dir).name)})
    cfg.visualizer = {**visualizer, "vis_backends": backends}


def _settings(tracker: str, run: str) -> dict[str, Any]:
    """The run is called as its work directory."""
    return {
        "tensorboard": {},
        "wandb": {"init_kwargs": {"name": run}},
        "mlflow": {"run_name": run},
    }[tracker]


def _bare(backend: Any) -> str:
    kind = backend["type"]
    return str(kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
