"""The config that the config of a custom dataset inherits, found by name or path."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmvan.engine.config import TASKS, innermost_dataset, load_config
from mmvan.errors import ConfigError, did_you_mean
from mmvan.location import config_dir
from mmvan.type_name import type_name
from mmvan.zoo.catalogue import named_models

__all__ = ["OPTION", "find_base", "load_base", "published_weights"]

OPTION = "--config"
# Whose annotations are masks of things and stuff, which no custom dataset has.
_PANOPTIC = "CocoPanopticDataset"


def find_base(name: str, task: str) -> Path:
    """The file of a config.

    Args:
        name: A config of mmvan by its file's name without ``.py``, or a path.
        task: The task of the dataset, such as ``detection``.

    Raises:
        ConfigError: There is no such config, or mmvan's is for another task.
    """
    if name.endswith(".py") and Path(name).is_file():
        return Path(name)
    ours = {p.stem: p for t in TASKS.values() for p in sorted((config_dir() / t).glob("*.py"))}
    places = {f"/configs/{path.parent.name}/{stem}": path for stem, path in ours.items()}
    end = f"/{name.removesuffix('.py')}"
    found = next((path for place, path in places.items() if place.endswith(end)), None)
    fitting = [stem for stem, path in ours.items() if path.parent.name == task]
    if found is None:
        hint = did_you_mean(name, fitting) or f" {task.capitalize()} has {', '.join(fitting)}."
        raise ConfigError(
            f"{OPTION} {name}: no such file, and no config of mmvan has that name.{hint}"
        )
    if found.parent.name != task:
        raise ConfigError(_other_task(name, found.parent.name, task, fitting))
    return found


def load_base(name: str, task: str, *, masks: bool = False) -> Config:
    """A config that fits a dataset.

    Args:
        name: As for :func:`find_base`.
        task: As for :func:`find_base`.
        masks: Whether every object of the dataset has a mask.

    Raises:
        ConfigError: There is no such config, or it needs what the dataset has not.
    """
    path = find_base(name, task)
    cfg = load_config(
        str(path), None, ("model", "train_dataloader", "val_dataloader", "train_cfg"), OPTION
    )
    if TASKS[cfg.default_scope] != task:
        raise ConfigError(_other_task(name, TASKS[cfg.default_scope], task, ()))
    if not isinstance(cfg.model.get("type"), str):
        raise ConfigError(
            f"{OPTION} {name} names classes themselves (it is pure Python), and no text config "
            "can inherit it; expected one with _base_ and types in quotes"
        )
    for loader in ("train", "val"):
        dataset = cfg[f"{loader}_dataloader"].dataset
        if innermost_dataset(cfg[f"{loader}_dataloader"]) is not dataset:
            raise ConfigError(
                f"{OPTION} {name}: {loader}_dataloader.dataset is a {type_name(dataset)} around "
                "another dataset; expected a dataset alone"
            )
    if type_name(cfg.train_dataloader.dataset) == _PANOPTIC:
        raise ConfigError(
            f"{OPTION} {name} is for panoptic annotations; expected a config for boxes or masks, "
            "such as van_b_maskrcnn"
        )
    if (cfg.model.get("roi_head") or {}).get("mask_head") and not masks:
        raise ConfigError(
            f"{OPTION} {name} learns masks, but some objects in --annotations have no "
            "segmentation; expected a config for boxes, such as van_b_retinanet, van_t_retinanet, "
            "van_b_atss_3x or van_b_gfl_3x"
        )
    return cfg


def published_weights(path: Path) -> str | None:
    """The address of the weights that are published for a config of mmvan; None for none.

    Args:
        path: A config.
    """
    model = named_models().get(path.stem)
    if model is None or model.weights is None or path.resolve().parent.parent != _configs():
        return None
    return model.weights.address


def _configs() -> Path:
    return config_dir().resolve()


def _other_task(name: str, found: str, task: str, candidates: list[str] | tuple[str, ...]) -> str:
    names = f": {', '.join(candidates)}" if candidates else ""
    return f"{OPTION} {name} is for {found}; expected a config for {task}{names}"
