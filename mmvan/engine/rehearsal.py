"""The hook that tries an evaluation before the training, which would fail in it hours later."""

import copy
from traceback import walk_tb
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, ValLoop
from mmengine.runner.amp import autocast

from mmvan.engine.first_sample import first_sample
from mmvan.engine.random_state import keeping_random_state
from mmvan.errors import ConfigError, UserError
from mmvan.registry import HOOKS


@HOOKS.register_module()
class RehearsalHook(Hook):
    """Predicts one validation image, and hands it to the metrics, before the first step.

    What is wrong with the settings of predictions, the validation pipeline or a metric's input ends
    the run at once and not after the first epoch. Nothing of it remains: metrics and transforms
    are copies, and random numbers are drawn again. Loops that evaluate in a way of their own are
    left out.

    An image that cannot be read is left to the evaluation, which lists all of them.

    Raises:
        ConfigError: The pipeline lacks something. What fails in the model or a metric is raised as
            it is.
    """

    def before_train(self, runner: Runner) -> None:
        """Try the evaluation of a run that begins."""
        loop = runner.val_loop
        if runner.iter or not _is_plain(loop) or not _evaluates(runner):
            return
        with keeping_random_state():
            batch = _first_batch(loop.dataloader)
            if batch is not None:
                _evaluate(runner, loop, batch)


def _is_plain(loop: Any) -> bool:
    """Whether a loop hands every batch to the model and its predictions to the metrics."""
    kind = type(loop)
    return (
        isinstance(loop, ValLoop)
        and kind.run is ValLoop.run
        and kind.run_iter is ValLoop.run_iter
        and len(loop.dataloader.dataset) > 0
    )


def _evaluates(runner: Runner) -> bool:
    """Whether the run is as long as to reach its first evaluation."""
    loop = runner.train_loop
    end = runner.max_epochs if isinstance(loop, EpochBasedTrainLoop) else runner.max_iters
    return bool(getattr(loop, "val_begin", 1) <= end)


def _first_batch(loader: Any) -> Any:
    """A batch of one image; None if that cannot be read."""
    try:
        return loader.collate_fn([first_sample(loader.dataset)])
    except OSError:
        return None
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(
            "val_dataloader.dataset: its pipeline does not work for the first sample"
            f"{_transform(error)}: {type(error).__name__}: {error}"
        ) from error


def _transform(error: Exception) -> str:
    """Which transform it was that failed; nothing where it was none."""
    acting = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    names = [type(one).__name__ for one in acting if isinstance(one, BaseTransform)]
    return f", in {names[-1]}" if names else ""


def _evaluate(runner: Runner, loop: ValLoop, batch: Any) -> None:
    evaluator = _copy(loop.evaluator)
    runner.model.eval()
    try:
        with torch.no_grad(), autocast(enabled=loop.fp16):
            outputs = runner.model.val_step(batch)
        if evaluator is not None:
            evaluator.process(data_samples=outputs, data_batch=batch)
    finally:
        runner.model.train()


def _copy(evaluator: Evaluator) -> Evaluator | None:
    """An evaluator whose metrics may remember anything; None if a metric cannot be copied."""
    apart = copy.copy(evaluator)
    try:
        apart.metrics = [copy.deepcopy(metric, _annotations(metric)) for metric in apart.metrics]
    except Exception:  # noqa: BLE001  # A user's own metric may hold what has no copy.
        return None
    return apart


def _annotations(metric: Any) -> dict[int, Any]:
    """What a copy shares with its metric: the annotations of COCO and LVIS, which may be large."""
    return {id(value): value for value in vars(metric).values() if hasattr(value, "anns")}
