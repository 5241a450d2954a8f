"""How many images one step of the optimizer sees, and how that compares with the recipe."""

from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmvan.engine.processes import Processes


@dataclass(frozen=True)
class Batch:
    """The images of one optimizer step.

    Args:
        processes: Processes that average their gradients.
        per_process: Images of one process in one forward pass.
        accumulation: Forward passes whose gradients are summed before a step.
        recipe: Images of a step that the config's learning rate is meant for
            (``auto_scale_lr.base_batch_size``), or None where the config does not say.
    """

    processes: int
    per_process: int
    accumulation: int
    recipe: int | None

    @property
    def effective(self) -> int:
        """Images of one optimizer step."""
        return self.processes * self.per_process * self.accumulation

    @property
    def accumulation_of_recipe(self) -> int | None:
        """The accumulation that makes it the recipe's batch, or None if no whole number does."""
        forward = self.processes * self.per_process
        return None if not self.recipe or self.recipe % forward else self.recipe // forward


def batch_of(cfg: Config, processes: Processes) -> Batch:
    """The training batch of a config.

    Args:
        cfg: A config with a training loader and an optimizer wrapper.
        processes: This process among the others.
    """
    return Batch(
        processes=processes.world_size,
        per_process=loader_batch_size(cfg.train_dataloader),
        accumulation=cfg.optim_wrapper.get("accumulative_counts", 1),
        recipe=(cfg.get("auto_scale_lr") or {}).get("base_batch_size"),
    )


def loader_batch_size(loader: Any) -> int:
    """The images of one process that a loader puts into one batch."""
    return int(loader.get("batch_size") or loader["batch_sampler"]["batch_size"])


def describe_batch(batch: Batch, cfg: Config, device: str) -> list[str]:
    """What a run's steps are made of: batch, learning rate, and both beside the recipe.

    Args:
        batch: Of the config and its processes.
        cfg: The config.
        device: The type of the device in use.

    Returns:
        list[str]: Parts of a line.
    """
    unit = "GPU" if device == "cuda" else "process"
    plural = {"GPU": "s", "process": "es"}[unit] if batch.processes > 1 else ""
    parts = [
        f"{batch.processes} {unit}{plural} x batch {batch.per_process} x accumulation "
        f"{batch.accumulation} = effective batch {batch.effective}"
    ]
    if batch.accumulation > 1:
        parts.append("BatchNorm's statistics are those of each batch alone")
    rate = cfg.optim_wrapper.get("optimizer", {}).get("lr")
    scaled = (cfg.get("auto_scale_lr") or {}).get("enable", False)
    return [*parts, _learning_rate(batch, rate, scaled), _compare(batch, rate, scaled)]


def divide_base_batch(cfg: Config, accumulation: int) -> None:
    """Let MMEngine scale the learning rate by the effective batch: it leaves out accumulation.

    Args:
        cfg: The config, changed in place where its learning rate is to be scaled.
        accumulation: Forward passes per step.
    """
    settings = cfg.get("auto_scale_lr") or {}
    if settings.get("enable") and accumulation > 1:
        settings["base_batch_size"] /= accumulation


def _learning_rate(batch: Batch, rate: float | None, scaled: bool) -> str:
    if rate is None:
        return "lr set by the optimizer"
    if not scaled or batch.recipe is None:
        return f"lr {rate:g}"
    return f"lr {rate * batch.effective / batch.recipe:g}"


def _compare(batch: Batch, rate: float | None, scaled: bool) -> str:
    if batch.recipe is None:
        return "recipe: batch not stated (auto_scale_lr.base_batch_size)"
    recipe = f"recipe: batch {batch.recipe}" + ("" if rate is None else f", lr {rate:g}")
    if batch.effective == batch.recipe:
        return f"{recipe}: the same"
    ratio = f"{recipe}: {batch.recipe / batch.effective:g} times this batch"
    if scaled:
        return f"{ratio}, lr scaled"
    count = batch.accumulation_of_recipe
    return f"{ratio}; add {f'--accumulate {count} or ' if count else ''}--auto-scale-lr"
