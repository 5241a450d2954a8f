"""A dataset that goes on where a sample cannot be read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.structures import BaseDataElement
from PIL import Image

from mmvan.data.faults import MAX_PIXELS, Fault, diagnose
from mmvan.data.inspection import STEPS, InspectFiles, InspectInstances, InspectMap
from mmvan.errors import ConfigError, DataError
from mmvan.registry import DATASETS

__all__ = ["MARK", "TolerantDataset", "marks", "samples_of"]

# The metainfo of a sample that stands for bad ones: what was wrong with them.
MARK = "mmvan_bad_data"
# So many other samples are tried for a bad one.
MAX_ATTEMPTS = 100
_GREY = 127
_BLANK_SIZE = (224, 224)


@DATASETS.register_module()
class TolerantDataset:
    """Wraps a dataset: a sample that is bad is replaced by another one.

    What a sample fails by, in whatever step, is found out and written into the metainfo
    ``mmvan_bad_data`` of the sample that takes its place, so that the process that trains counts
    what it really uses; :class:`mmvan.engine.bad_data.BadDataHook` does. Which one takes the place
    depends on the index and the number of attempts alone: not on the worker, the epoch or anything
    random.

    Everything else, such as ``metainfo``, ``get_data_info`` and what samplers and hooks ask for, is
    the wrapped dataset's own. Steps that look for what decoders and libraries read wrongly are put
    into the pipelines of all datasets inside.

    Args:
        dataset: The dataset, or its config: any of the three libraries', wrappers included.
        max_pixels: The limit of pixels of an image.
        blank: Take a grey image for one that cannot be read instead of another sample: for
            evaluation, where the network's guess for it then counts.

    Raises:
        DataError: From a sample, if ``MAX_ATTEMPTS`` samples in a row are bad.
    """

    def __init__(self, dataset: Any, max_pixels: int = MAX_PIXELS, blank: bool = False) -> None:
        self.dataset = MMENGINE_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.max_pixels = max_pixels
        self.blank = blank
        # What the innermost dataset knows of the sample that it is loading.
        self._current: dict[str, Any] = {}
        self._inspect()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def pipeline(self) -> Any:
        """The wrapped dataset's, which hooks such as mmdet's ``PipelineSwitchHook`` replace."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        self.dataset.pipeline = pipeline
        self._inspect()

    def __getitem__(self, index: int) -> Any:
        """Returns a sample, or the first one that is good in its place.

        Raises:
            DataError: None is good after ``MAX_ATTEMPTS``.
        """
        faults: list[dict[str, str]] = []
        for chosen in self._candidates(index):
            self._current.clear()
            try:
                sample = self.dataset[chosen]
            except Exception as error:  # noqa: BLE001 - any step of any library
                fault = diagnose(error, self._current, self.max_pixels)
                faults.append(fault.plain())
                sample = self._blank_sample(dict(self._current), fault) if self.blank else None
            if sample is not None:
                return _marked(sample, faults) if faults else sample
        raise DataError(
            f"{len(faults)} samples in a row are bad: {Fault(**faults[0])}; "
            f"{Fault(**faults[-1])}. The data, or a step of the pipeline, cannot be right."
        )

    def _candidates(self, index: int) -> Iterator[int]:
        yield index
        for attempt in range(1, MAX_ATTEMPTS):
            yield int(np.random.default_rng((index, attempt)).integers(len(self)))

    def _inspect(self) -> None:
        for leaf in _leaves(self.dataset):
            steps = getattr(getattr(leaf, "pipeline", None), "transforms", None)
            if isinstance(steps, list):
                leaf.pipeline.transforms = self._inspected(steps, leaf)

    def _inspected(self, steps: list[Any], leaf: Any) -> list[Any]:
        steps = [step for step in steps if not isinstance(step, STEPS)]
        names = [type(step).__name__ for step in steps]
        classes = (getattr(leaf, "metainfo", None) or {}).get("classes")
        number = len(classes) if classes else None
        places = [index for index, name in enumerate(names, 1) if name.startswith("Load")]
        if places:  # from the end, so that the places stay what they are
            steps.insert(places[-1], InspectMap(number, getattr(leaf, "ignore_index", 255)))
            masks = any(getattr(step, "with_mask", False) for step in steps)
            steps.insert(places[0], InspectInstances(number, masks))
        by_library = "LoadImageFromFile" in names
        return [InspectFiles(by_library, self.max_pixels, self._current), *steps]

    def _blank_sample(self, info: Mapping[str, Any], fault: Fault) -> Any:
        """The sample with a grey image; None if its annotation is what is bad."""
        path = str(info.get("img_path", ""))
        if fault.file != path or not hasattr(self.dataset, "pipeline"):
            return None
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            Image.new("RGB", _size(info), (_GREY,) * 3).save(file.name)
            try:
                sample = self.dataset.pipeline({**info, "img_path": file.name})
            except Exception:  # noqa: BLE001 - by what else is wrong with it
                return None
        for element in samples_of(sample):
            element.set_metainfo({"img_path": path})
        return sample


def samples_of(batch: Any) -> Iterator[BaseDataElement]:
    """Goes through the data samples of a batch, however it is nested."""
    if isinstance(batch, BaseDataElement):
        yield batch
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from samples_of(part)
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from samples_of(part)


def marks(sample: BaseDataElement) -> list[Fault]:
    """The bad samples that a sample stands for; none of most."""
    return [Fault(**fault) for fault in sample.get(MARK, ())] if MARK in sample else []


def _marked(sample: Any, faults: list[dict[str, str]]) -> Any:
    elements = list(samples_of(sample))
    if not elements:
        raise ConfigError(
            "mmvan.TolerantDataset: the pipeline gives no data sample that could carry what was "
            f"replaced ({Fault(**faults[0])}). End it with PackInputs, PackDetInputs or "
            "PackSegInputs."
        )
    for element in elements[:1]:  # of test-time augmentation's views, one
        element.set_metainfo({MARK: faults})
    return sample


def _leaves(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers such as ``ConcatDataset`` and ``MultiImageMixDataset``."""
    inner = vars(dataset)
    parts = inner.get("datasets") or [inner.get("dataset", inner.get("_dataset"))]
    if parts == [None]:
        yield dataset
        return
    for part in parts:
        yield from _leaves(part)


def _size(info: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height that an image should have, by what belongs to it."""
    if info.get("width") and info.get("height"):
        return info["width"], info["height"]
    if info.get("seg_map_path") and Path(info["seg_map_path"]).is_file():
        with Image.open(info["seg_map_path"]) as labels:
            return labels.size
    return _BLANK_SIZE
