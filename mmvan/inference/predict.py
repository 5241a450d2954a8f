"""Predicting with a model of any of the tasks, through its config's own test pipeline.

The libraries' inferencers are not used here: they load weights by rules of their own (keys that are
missing stay random), stop at the first image that cannot be read, keep all results in memory, read
no video, and mmdet's needs panopticapi for panoptic models. What they have in common is what stands
here: the transforms of the tests, ``test_step``, and the library's visualizer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import TRANSFORMS, DefaultScope
from numpy.typing import NDArray

from mmvan.engine.config import innermost_dataset, task_of
from mmvan.errors import ConfigError, DataError
from mmvan.type_name import type_name

_ANNOTATIONS = ("LoadAnnotations", "LoadPanopticAnnotations")


class Prepared(dict[str, Any]):
    """An image as the model takes it; ``image`` is the image itself, BGR, shape (H, W, 3)."""

    image: NDArray[np.uint8]

    @property
    def shapes(self) -> tuple[Any, ...]:
        """What images must agree in to be one batch of a segmentor."""
        return tuple(self["inputs"].shape), tuple(self.image.shape[:2])


class Predictor:
    """Predicts on images.

    Args:
        model: A model with ``cfg`` and ``dataset_meta``, as :func:`mmvan.get_model` gives.

    Attributes:
        task (str): ``classification``, ``detection`` or ``segmentation``.

    Raises:
        ConfigError: The test pipeline does not begin with loading an image.
    """

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self.task = task_of(model.cfg)
        self.scope = model.cfg.default_scope
        steps = [
            dict(step)
            for step in innermost_dataset(model.cfg.test_dataloader)["pipeline"]
            if type_name(step) not in _ANNOTATIONS
        ]
        if not steps or not type_name(steps[0]).startswith("LoadImage"):
            raise ConfigError(
                f"{model.cfg.filename}: the pipeline of test_dataloader does not begin with "
                "LoadImageFromFile or mmvan.LoadImage"
            )
        with TRANSFORMS.switch_scope_and_registry(self.scope) as registry:
            self._load, *rest = [registry.build(step) for step in steps]
            self._transform = Compose(rest)

    def read(self, path: Path) -> Prepared:
        """Read an image file as the tests do.

        Raises:
            DataError: It cannot be read.
        """
        if not path.stat().st_size:
            raise DataError("the file is empty")
        try:
            results = self._load({"img_path": str(path), "img_id": 0})
        except Exception as error:
            raise DataError(f"not a readable image ({_first_line(error)})") from error
        if results is None or results.get("img") is None:
            raise DataError("not a readable image")
        return self._prepare(results, str(path))

    def take(self, image: NDArray[np.uint8], name: str) -> Prepared:
        """Prepare an image in memory.

        Args:
            image: BGR, shape (height, width, 3).
            name: What it is called.
        """
        shape = image.shape[:2]
        results = {"img": image, "img_path": name, "img_id": 0}
        return self._prepare({**results, "img_shape": shape, "ori_shape": shape}, name)

    def predict(self, batch: Sequence[Prepared]) -> list[Any]:
        """Predict on a batch.

        Args:
            batch: Images; those of a segmentor agree in their ``shapes``.

        Returns:
            list[Any]: The library's data samples, on the CPU.
        """
        with torch.no_grad(), DefaultScope.overwrite_default_scope(self.scope):
            samples = self.model.test_step(pseudo_collate([dict(image) for image in batch]))
        return [sample.cpu() for sample in samples]

    def fits(self, batch: Sequence[Prepared], image: Prepared) -> bool:
        """Whether an image can be in a batch: mmseg takes images of one size."""
        return self.task != "segmentation" or not batch or batch[0].shapes == image.shapes

    def _prepare(self, results: Mapping[str, Any], name: str) -> Prepared:
        image = results["img"]
        with DefaultScope.overwrite_default_scope(self.scope):
            prepared = self._transform(dict(results))
        if prepared is None:
            raise DataError(f"the test pipeline refuses {name}")
        made = Prepared(prepared)
        made.image = np.ascontiguousarray(image)
        return made


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]
