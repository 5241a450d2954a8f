"""Choosing operators and layout when a run begins."""

import logging
import os
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from mmvan.models import VAN
from mmvan.ops.backends import requested_backend
from mmvan.ops.choice import Choice, Mode, choose, is_chosen
from mmvan.registry import HOOKS
from mmvan.tune.cache import keep, look_up
from mmvan.tune.measure import Finding
from mmvan.tune.search import search
from mmvan.tune.workload import Workload

VARIABLE = "MMVAN_TUNE"
BUDGET_SECONDS = 60.0

_logger = logging.getLogger(__name__)


@HOOKS.register_module()
class TuneHook(Hook):
    """Work with the operators and the layout that are fastest on this device.

    Before the first batch is computed, each backend is compared with plain PyTorch and timed in a
    child process, for the network, the size of the images and the device of this run. That happens
    once: the finding is kept in the user's cache. A choice that is there already, such as that of a
    resumed checkpoint, remains; so does ``MMVAN_OPS_BACKEND``. With ``deterministic=True`` nothing
    is measured, because a choice by time may be another one the next time. ``MMVAN_TUNE=0`` in the
    environment switches it off. All processes work with the choice of the first.

    Args:
        budget: Seconds that measuring may take.
    """

    priority = "VERY_LOW"

    def __init__(self, budget: float = BUDGET_SECONDS) -> None:
        self.budget = budget
        self._done: set[str] = set()

    def keep_choice(self) -> None:
        """Measure nothing: what is chosen now holds, be it the operators' own rules."""
        self._done = {"training", "inference"}

    def state_dict(self) -> dict[str, Any]:
        """For what there is a decision: a resumed run measures what is still open, and no more."""
        return {"decided": sorted(self._done)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the decisions of a run that is resumed; the choices themselves come apart."""
        self._done = set(state["decided"])

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Choose for training."""
        self._choose_once(runner, "training", data_batch)

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Choose for inference."""
        self._choose_once(runner, "inference", data_batch)

    before_test_iter = before_val_iter

    def _choose_once(self, runner: Any, mode: Mode, data_batch: dict[str, Any] | None) -> None:
        if mode in self._done:
            return
        self._done.add(mode)
        backbone = next((m for m in runner.model.modules() if isinstance(m, VAN)), None)
        if backbone is None or not _is_wanted(runner):
            return
        workload = describe_workload(runner, backbone, mode, data_batch)
        if workload is None or is_chosen(workload.device, mode):
            return
        choice = _agree(workload, self.budget)
        if choice is not None:
            choose(workload.device, mode, choice)


def is_switched_off() -> bool:
    """Whether the environment asks that nothing is measured."""
    return os.environ.get(VARIABLE, "1").lower() in ("0", "false", "no", "off")


def _is_wanted(runner: Any) -> bool:
    deterministic = torch.are_deterministic_algorithms_enabled()
    return not (is_switched_off() or deterministic or requested_backend())


def _agree(workload: Workload, budget: float) -> Choice | None:
    found: list[Any] = [find(workload, budget) if is_main_process() else None]
    broadcast_object_list(found)
    return found[0]


def find(workload: Workload, budget: float) -> Choice | None:
    """Look up or measure the choice for a workload, and tell the log.

    Args:
        workload: What is to be computed.
        budget: Seconds that measuring may take.

    Returns:
        The choice; None if too little was measured to leave the operators' own rules for it.
    """
    outcome = look_up(workload)
    if outcome is None:
        _logger.info("measuring operators for %s, at most %.0f s", _describe(workload), budget)
        outcome = search(workload, budget, _report)
        keep(workload, outcome)
    if outcome.gain == 1 and not outcome.complete:
        _logger.info("%s: not measured in time, the operators' rules hold", _describe(workload))
        return None
    told = (_describe(workload), outcome.choice, outcome.gain)
    _logger.info("%s: %s, %.2f x plain PyTorch", *told)
    return outcome.choice


def describe_workload(
    runner: Any, backbone: VAN, mode: Mode, data_batch: dict[str, Any] | None
) -> Workload | None:
    """The work that a batch makes; None if the batch has no images.

    Args:
        runner: The runner, for its precision.
        backbone: What computes.
        mode: With or without a backward pass.
        data_batch: As the loader made it: ``inputs`` is a tensor or a list of images.
    """
    inputs = (data_batch or {}).get("inputs")
    if not isinstance(inputs, (torch.Tensor, list, tuple)) or not len(inputs):
        return None
    height, width = (max(int(image.shape[axis]) for image in inputs) for axis in (-2, -1))
    wrapper = getattr(runner, "optim_wrapper", None)
    dtype = getattr(wrapper, "cast_dtype", None) if mode == "training" else None
    layout = backbone.channels_last
    return Workload(
        backbone.arch.embed_dims,
        backbone.arch.depths,
        backbone.arch.ffn_ratios,
        len(inputs),
        height,
        width,
        mode,
        next(backbone.parameters()).device.type,
        str(dtype or torch.float32).removeprefix("torch."),
        (False, True) if layout == "auto" else (layout is True,),
    )


def _report(candidate: Choice, finding: Finding) -> None:
    _logger.info("  %s: %s", candidate, finding)


def _describe(workload: Workload) -> str:
    size = f"{workload.batch} x {workload.height} x {workload.width}"
    return f"{workload.mode} on {workload.device}, {workload.dtype}, {size}"
