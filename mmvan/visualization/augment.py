"""What the training pipeline of a config makes of its images."""

from copy import deepcopy
from typing import Any

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from numpy.typing import NDArray

from mmvan.engine.config import innermost_dataset, task_of
from mmvan.errors import ConfigError
from mmvan.inference.draw import Drawer
from mmvan.type_name import type_name
from mmvan.visualization.figures import new_figure, show_image


def build_dataset(cfg: Config, subset: str, *, as_stored: bool = False) -> Any:
    """The dataset of a loader, with its pipeline.

    Args:
        cfg: The config.
        subset: ``train``, ``val`` or ``test``.
        as_stored: Leave out of the pipeline all but loading and packing, so that images and
            annotations are those of the files.

    Raises:
        ConfigError: The data are not there.
    """
    settings = deepcopy(cfg[f"{subset}_dataloader"])
    if as_stored:
        inner = innermost_dataset(settings)
        inner["pipeline"] = [step for step in inner["pipeline"] if _stores_or_packs(step)]
    scope = cfg.default_scope
    with (
        DefaultScope.overwrite_default_scope(scope),
        DATASETS.switch_scope_and_registry(scope) as registry,
    ):
        try:
            return registry.build(settings.dataset)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ConfigError(f"{subset}_dataloader of {cfg.filename}: {error}") from error


def augmented(
    cfg: Config, dataset: Any, index: int, count: int
) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """An image of the dataset, and what the pipeline makes of it.

    Args:
        cfg: The config.
        dataset: Its training dataset.
        index: Which image.
        count: How many times.

    Returns:
        tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]: RGB; the image of the file, and the
        samples with their annotations drawn.
    """
    if not 0 <= index < len(dataset):
        raise ConfigError(f"--index {index}: the dataset has images 0 to {len(dataset) - 1}")
    drawer = Drawer(cfg, dict(dataset.metainfo))
    path = image_path(dataset.get_data_info(index))
    original = mmcv.imread(path, channel_order="rgb")
    samples = []
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for _ in range(count):
            packed = dataset[index]
            image = np.ascontiguousarray(packed["inputs"].permute(1, 2, 0).numpy())
            drawn = drawer.draw(image, packed["data_samples"], truth=True, prediction=False)
            samples.append(np.ascontiguousarray(drawn[..., ::-1]))
    return original, samples


def _stores_or_packs(step: dict[str, Any]) -> bool:
    return type_name(step).startswith(("Load", "Pack"))


def image_path(info: dict[str, Any]) -> str:
    """Path of the image of a dataset's entry."""
    return str(info["img_path"])


def batch_augmentations(cfg: Config) -> list[str]:
    """Names of what is done to whole batches in the model, which no single image shows."""
    found = (cfg.model.get("train_cfg") or {}).get("augments") or ()
    found = [found] if isinstance(found, dict) else list(found)
    return [step["type"] for step in found]


def plot(cfg: Config, indices: list[int], count: int, note: str) -> Figure:
    """One row per image: the file, and samples of the training pipeline."""
    dataset = build_dataset(cfg, "train")
    figure, axes = new_figure(
        len(indices), 1 + count, f"Training pipeline, {task_of(cfg)}", note, (2.6, 2.6)
    )
    for row, index in zip(axes, indices, strict=True):
        original, samples = augmented(cfg, dataset, index, count)
        height, width = original.shape[:2]
        show_image(row[0], original, f"image {index}: {width} x {height}")
        for i, (place, sample) in enumerate(zip(row[1:], samples, strict=True), start=1):
            height, width = sample.shape[:2]
            show_image(place, sample, f"sample {i}: {width} x {height}")
    return figure
