"""Experiment trackers: MMEngine's visualization backends, by one option."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.errors import ConfigError
from mmvan.type_name import type_name

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
    used = {type_name(backend) for backend in backends}
    for tracker in dict.fromkeys(trackers):
        kind, package, install = TRACKERS[tracker]
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"--tracker {tracker}: the package {package} is not installed. "
                f"Do: pip install {install}"
            )
        if kind not in used:
            backends.append({"type": kind, **_settings(tracker, Path(cfg.work_dir).resolve())})
    cfg.visualizer = {**visualizer, "vis_backends": backends}


def _settings(tracker: str, work_dir: Path) -> dict[str, Any]:
    """The run is called as its work directory.

    MMEngine writes MLflow's runs into files, which MLflow 3 refuses, and whatever
    MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say; so they are given: the user's, or a database
    beside the logs. The files of a run follow it there only in an experiment that is made for them:
    those of MLflow's own, "Default", go to the current folder. Copies of the work directory are
    sent to a server alone.
    """
    run = work_dir.name
    mlflow: dict[str, Any] = {"run_name": run}
    mlflow["exp_name"] = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "mmvan"
    if address := os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow["tracking_uri"] = address
    else:
        mlflow["tracking_uri"] = f"sqlite:///{work_dir / 'mlflow.db'}"
        mlflow["artifact_location"] = (work_dir / "mlflow_files").as_uri()
        mlflow["artifact_suffix"] = ()
    settings: dict[str, dict[str, Any]] = {
        "tensorboard": {},
        "wandb": {"init_kwargs": {"name": run}},
        "mlflow": mlflow,
    }
    return settings[tracker]
