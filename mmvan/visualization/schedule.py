"""Learning rate, weight decay and momentum of every step, as a config's own schedulers set them."""

import csv
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope

from mmvan.errors import ConfigError
from mmvan.visualization.figures import new_figure

Group = tuple[float, float, float]  # Learning rate, weight decay, momentum (Adam's beta1).


@dataclass(frozen=True)
class Schedule:
    """The settings of each distinct group of parameters at every step.

    Args:
        groups: Numbers of parameter tensors of each group.
        steps: For each step, one (lr, weight decay, momentum) per group; step 0 is the first.
        epoch_length: Steps per epoch, or 0 where the config counts steps alone.
    """

    groups: list[int]
    steps: list[list[Group]]
    epoch_length: int


def compute_schedule(cfg: Config, epoch_length: int) -> Schedule:
    """Run the config's optimizer constructor and schedulers over the whole training.

    Parameters with equal settings are one group: schedulers act on each group alone, so that the
    values are exact.

    Args:
        cfg: The config.
        epoch_length: Steps per epoch.

    Raises:
        ConfigError: ``train_cfg`` tells no length.
    """
    by_epoch = _by_epoch(cfg)
    length = cfg.train_cfg.get("max_epochs" if by_epoch else "max_iters")
    if not length:
        raise ConfigError(f"{cfg.filename}: train_cfg sets neither max_epochs nor max_iters")
    with DefaultScope.overwrite_default_scope(cfg.default_scope), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That no step of the optimizer was taken.
        wrapper = build_optim_wrapper(MODELS.build(cfg.model), cfg.optim_wrapper)
        sizes = _merge_groups(wrapper.optimizer)
        schedulers = _build_schedulers(cfg, wrapper, epoch_length, length)
        steps = []
        for step in range(1, (length * epoch_length if by_epoch else length) + 1):
            steps.append([_settings(group) for group in wrapper.optimizer.param_groups])
            for scheduler in schedulers:
                if not scheduler.by_epoch or (by_epoch and step % epoch_length == 0):
                    scheduler.step()
    return Schedule(sizes, steps, epoch_length if by_epoch else 0)


def write_csv(schedule: Schedule, out: Path) -> None:
    """Write every step: one row per step and group."""
    with out.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("step", "group", "tensors", "lr", "weight_decay", "momentum"))
        for step, groups in enumerate(schedule.steps):
            for i, (count, values) in enumerate(zip(schedule.groups, groups, strict=True)):
                table.writerow((step, i, count, *(f"{value:.9g}" for value in values)))


def plot(schedule: Schedule, title: str, note: str, points: int = 2000) -> Figure:
    """Three curves per group over the steps: learning rate, weight decay, momentum."""
    figure, axes = new_figure(3, 1, title, note, (8.5, 2.2))
    stride = max(len(schedule.steps) // points, 1)
    chosen = list(range(0, len(schedule.steps), stride))
    scale = schedule.epoch_length or 1
    x = [step / scale for step in chosen]
    for i, count in enumerate(schedule.groups):
        for which, place in enumerate(axes[:, 0]):
            values = [schedule.steps[step][i][which] for step in chosen]
            # Broken lines, because groups often agree in two of the three.
            style = ("-", "--", "-.", ":")[i % 4]
            place.plot(x, values, style, linewidth=1.2, label=f"group {i} ({count} tensors)")
    names = ("learning rate", "weight decay", "momentum (beta1)")
    for name, place in zip(names, axes[:, 0], strict=True):
        place.set_ylabel(name, fontsize="small")
        place.grid(alpha=0.3)
        place.tick_params(labelsize="small")
    axes[-1, 0].set_xlabel("epoch" if schedule.epoch_length else "iteration", fontsize="small")
    if len(schedule.groups) <= 8:
        axes[0, 0].legend(fontsize="x-small")
    return figure


def recipe_epoch_length(cfg: Config, images: int) -> int:
    """Steps per epoch with the recipe's batch, ``auto_scale_lr.base_batch_size``.

    Args:
        cfg: The config.
        images: Images of the training dataset.
    """
    batch = (cfg.get("auto_scale_lr") or {}).get("base_batch_size")
    return max(-(-images // (batch or cfg.train_dataloader.batch_size)), 1)


def _merge_groups(optimizer: Any) -> list[int]:
    """Keep one group of each kind; tell how many tensors each stands for, the largest first."""
    counts: Counter[Group] = Counter()
    first: dict[Group, Any] = {}
    for group in optimizer.param_groups:
        settings = _settings(group)
        counts[settings] += len(group["params"])
        first.setdefault(settings, group)
    ordered = counts.most_common()
    optimizer.param_groups[:] = [first[settings] for settings, _ in ordered]
    return [count for _, count in ordered]


def _settings(group: dict[str, Any]) -> Group:
    momentum = group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
    return group["lr"], group.get("weight_decay", 0.0), momentum


def _build_schedulers(cfg: Config, wrapper: Any, epoch_length: int, length: int) -> list[Any]:
    """The schedulers as MMEngine's Runner builds them; a missing ``end`` is the training's."""
    found = cfg.get("param_scheduler") or []
    schedulers = [found] if isinstance(found, dict) else list(found)
    # A loop over iterations counts as one epoch in MMEngine.
    epochs, iters = (length, length * epoch_length) if _by_epoch(cfg) else (1, length)
    built = []
    for scheduler in schedulers:
        end = epochs if scheduler.get("by_epoch", True) else iters
        defaults = {"optimizer": wrapper, "epoch_length": epoch_length}
        built.append(PARAM_SCHEDULERS.build({"end": end, **scheduler}, default_args=defaults))
    return built


def _by_epoch(cfg: Config) -> bool:
    return bool(cfg.train_cfg.get("by_epoch", "max_epochs" in cfg.train_cfg))
