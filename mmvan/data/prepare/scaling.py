"""Batch, learning rate and schedule of a recipe, for a dataset of another size."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmvan.config_check.nodes import schedulers_of
from mmvan.data.prepare.config_text import number
from mmvan.engine.batch import loader_batch_size
from mmvan.engine.config import innermost_dataset
from mmvan.engine.schedules import stretch

__all__ = ["MAX_EPOCHS", "MIN_EPOCHS", "MIN_STEPS", "Scaled", "scale"]

# Images that recipes are made for, by the folder of their dataset; COCO's have an object each. The
# template for own images, `van_b_custom`, was tried on CIFAR's 50,000.
_IMAGES = {
    "data/imagenet": 1_281_167,
    "data/coco": 117_266,
    "data/ade/ADEChallengeData2016": 20_210,
    "data/CUB_200_2011": 5_994,
    "data/custom": 50_000,
}
# More epochs than the recipe's, up to those that the paper trains on its smallest dataset.
MAX_EPOCHS = 100
# Heads start at random: fewer steps do not bring them anywhere.
MIN_STEPS = 1000
# So that the steps of a rate have their places.
MIN_EPOCHS = 3
# Batches of an epoch, unless they would be of one image, whose statistics say little to BatchNorm.
_MIN_BATCHES = 2
_MIN_BATCH = 2
# Of a run, for a warm-up that is shorter in the recipe.
_WARM_UP_SHARE = 0.1
_OPTION = "--config"


@dataclass(frozen=True)
class Scaled:
    """How a recipe trains on a dataset of another size, on one GPU.

    Args:
        batch: Images of a batch.
        settings: What else differs from the recipe.
        reasons: Why, in sentences.
    """

    batch: int
    settings: dict[str, Any]
    reasons: str


def scale(recipe: Config, images: int, max_batch: int | None = None) -> Scaled:
    """Fits a recipe to a number of images.

    Args:
        recipe: The config whose schedule is fitted.
        images: Images to train on; without any, which is an error of the data, those of one.
        max_batch: The most images of a batch, where it is fewer than the recipe has.
    """
    images = max(images, 1)
    most = loader_batch_size(recipe.train_dataloader)
    base = (recipe.get("auto_scale_lr") or {}).get("base_batch_size") or most
    batch = _batch(min(most, max_batch or most), images)
    settings, told = _length(recipe, images, batch, base)
    reasons = [f"For 1 GPU: {images:,} images in batches of {batch}, {told}."]
    rate = (recipe.optim_wrapper.get("optimizer") or {}).get("lr")
    if rate:
        scaled = float(f"{rate * batch / base:.3g}")
        settings = {"optim_wrapper": {"optimizer": {"lr": scaled}}, **settings}
        reasons.append(f"The rate follows the batch: {number(rate)} x {batch} / {base}.")
    reasons.append("On more GPUs add --auto-scale-lr.")
    return Scaled(batch, settings, " ".join(reasons))


def _batch(most: int, images: int) -> int:
    """The most, halved until an epoch has some batches."""
    batch = most
    while batch > _MIN_BATCH and batch * _MIN_BATCHES > images:
        batch = max(batch // 2, _MIN_BATCH)
    return max(1, min(batch, images))


def _length(recipe: Config, images: int, batch: int, base: int) -> tuple[dict[str, Any], str]:
    """The schedule, and the words for it."""
    by_epoch = "max_iters" not in recipe.train_cfg
    key = "max_epochs" if by_epoch else "max_iters"
    old = recipe.train_cfg[key]
    known = _IMAGES.get(innermost_dataset(recipe.train_dataloader).get("data_root"))
    made_for = known or images
    old_epochs = old if by_epoch else old * base / made_for
    steps = math.ceil(images / batch)
    epochs = _epochs(old_epochs, images, made_for)
    if by_epoch:
        new = max(round(epochs), math.ceil(MIN_STEPS / steps), MIN_EPOCHS)
        spans = (old, new), (_old_steps(recipe, old * math.ceil(made_for / base)), new * steps)
        told = f"{steps:,} steps an epoch: {new} epochs"
    else:
        new = round(max(epochs * images / batch, MIN_STEPS) / 100) * 100
        spans = (max(1, round(old_epochs)), max(1, round(epochs))), (old, new)
        told = f"{new:,} iterations: {new * batch / images:.0f} epochs"
    # MMEngine's loops have these intervals where none is given.
    interval = recipe.train_cfg.get("val_interval", 1 if by_epoch else 1000)
    interval = max(1, round(interval * new / old))
    settings: dict[str, Any] = {
        "param_scheduler": _schedulers(recipe, *spans),
        "train_cfg": {key: new, "val_interval": interval},
        "auto_scale_lr": {"base_batch_size": batch},
        "default_hooks": {"checkpoint": {"interval": interval}},
    }
    if recipe.train_cfg.get("dynamic_intervals"):
        settings["train_cfg"]["dynamic_intervals"] = None
    made = f" of {known:,} images" if known else ""
    return settings, f"{told} (the recipe: {old_epochs:.0f}{made}, in batches of {base})"


def _epochs(old: float, images: int, made_for: int) -> float:
    """Epochs for a number of images, where a recipe has some for another number."""
    if images >= made_for:
        return old * made_for / images
    return max(old, min(old * math.sqrt(made_for / images), MAX_EPOCHS))


def _old_steps(recipe: Config, steps: int) -> int:
    """Steps of a recipe by epochs: what it counts in steps is a warm-up, half of them at most."""
    schedulers = list(schedulers_of(recipe.get("param_scheduler")))
    warm_ups = [s.get("end") or 0 for s in schedulers if not s.get("by_epoch", True)]
    return max([steps, *(2 * end for end in warm_ups)])


def _schedulers(recipe: Config, epochs: tuple[int, int], iterations: tuple[int, int]) -> Any:
    cfg = Config({"param_scheduler": copy.deepcopy(recipe.get("param_scheduler"))})
    warm_ups = [
        scheduler
        for scheduler in schedulers_of(cfg.param_scheduler)
        if scheduler.get("end") and scheduler["end"] <= _span(scheduler, epochs, iterations)[0] / 2
    ]
    stretch(cfg, epochs, iterations, _OPTION)
    for scheduler in warm_ups:
        _shorten(scheduler, _span(scheduler, epochs, iterations), cfg)
    for scheduler in schedulers_of(cfg.param_scheduler):
        _drop_defaults(scheduler)
    return cfg.to_dict()["param_scheduler"]


def _drop_defaults(scheduler: Any) -> None:
    for key, default in (("begin", 0), ("by_epoch", True)):
        if scheduler.get(key) == default:
            del scheduler[key]


def _span(scheduler: Any, epochs: tuple[int, int], iterations: tuple[int, int]) -> tuple[int, int]:
    return epochs if scheduler.get("by_epoch", True) else iterations


def _shorten(warm_up: Any, span: tuple[int, int], cfg: Config) -> None:
    """Lets a warm-up, and what begins where it ends, take no more of the run than it may."""
    old, new = span
    end = warm_up["end"]
    most = round(max(_WARM_UP_SHARE, end / old) * new)
    warm_up["end"] = min(end, max(most, warm_up.get("begin", 0) + 1))
    for scheduler in schedulers_of(cfg.param_scheduler):
        if scheduler.get("begin") == end:
            scheduler["begin"] = warm_up["end"]
