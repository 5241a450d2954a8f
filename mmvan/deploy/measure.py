"""What reduced precision costs and gains: accuracy on labelled data, and time."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, DefaultScope
from rich.progress import track
from torch import Tensor

from mmvan.deploy.decision import Decision
from mmvan.deploy.images import ImageReader, stack
from mmvan.deploy.runtimes import Array, Runtime
from mmvan.errors import DataError

_REPEATS = 15


def medians(runtimes: Mapping[str, Runtime], images: Array) -> dict[str, float]:
    """Median milliseconds per call; the runtimes take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in runtimes}
    for runtime in runtimes.values():
        runtime.run(images)
    for _ in range(_REPEATS):
        for name, runtime in runtimes.items():
            start = time.perf_counter()
            runtime.run(images)
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def evaluate(runtimes: Mapping[str, Runtime], cfg: Config, limit: int) -> dict[str, dict[str, Any]]:
    """Evaluate files that hold a ``whole`` model as their config tests it.

    Args:
        runtimes: The files, by name; all of one config.
        cfg: The config, with ``test_dataloader`` and ``test_evaluator``.
        limit: At most so many images, spread evenly over the test set.

    Returns:
        dict[str, dict[str, Any]]: The metrics of each file, by the config's own evaluator.

    Raises:
        DataError: The test set is not there.
    """
    contract = next(iter(runtimes.values())).contract
    with DefaultScope.overwrite_default_scope(contract.scope):
        try:
            dataset = DATASETS.build(cfg.test_dataloader.dataset)
        except (OSError, ValueError) as error:
            raise DataError(f"the test set of {cfg.filename}: {error}") from error
        evaluators = {name: Evaluator(cfg.test_evaluator) for name in runtimes}
    for evaluator in evaluators.values():
        evaluator.dataset_meta = dataset.metainfo
    reader = ImageReader(contract)
    count = min(limit, len(dataset))
    for number in track(range(count), "accuracy"):
        index = number * len(dataset) // count
        path = Path(dataset.get_data_info(index)["img_path"])
        images = stack([reader.read(path)], contract.batch)
        for name, runtime in runtimes.items():
            sample = dataset[index]["data_samples"]
            logits = torch.from_numpy(runtime.run(images)[0][0])
            _PREDICT[contract.task](runtime.contract.decision, logits, sample)
            evaluators[name].process([sample])
    return {name: evaluator.evaluate(count) for name, evaluator in evaluators.items()}


def _predict_class(decision: Decision, logits: Tensor, sample: Any) -> None:
    scores = decision.class_scores(logits)
    sample.set_pred_score(scores).set_pred_label(decision.class_labels(scores))


def _predict_pixels(decision: Decision, logits: Tensor, sample: Any) -> None:
    from mmengine.structures import PixelData

    labels = decision.label_map(logits, sample.ori_shape)
    sample.pred_sem_seg = PixelData(data=labels[None])


_PREDICT: dict[str, Callable[[Any, Tensor, Any], None]] = {
    "classification": _predict_class,
    "segmentation": _predict_pixels,
}
