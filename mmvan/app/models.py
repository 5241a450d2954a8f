"""The models of the page, and what it shows of their predictions."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from mmvan.app.uploads import Limits, check_upload
from mmvan.errors import ConfigError, did_you_mean
from mmvan.inference.draw import Drawer
from mmvan.inference.model import build_model, find_checkpoint, find_config
from mmvan.inference.predict import Predictor
from mmvan.inference.results import best_classes, to_coco, to_panoptic

# Short, so that they fit beside each other on a phone.
CLASSIFICATION, DETECTION, SEGMENTATION = "Classify", "Detect", "Segment"
TABS = (CLASSIFICATION, DETECTION, SEGMENTATION)
HEADERS = {
    CLASSIFICATION: ("class", "score"),
    DETECTION: ("class", "score", "x", "y", "w", "h"),
    SEGMENTATION: ("class", "share of the image, %"),
}
# Each prediction uses all cores, and matplotlib draws in one thread.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Answer:
    """What is shown for an image.

    Args:
        image: As it was given, RGB, shape (height, width, 3).
        drawn: With the predictions, RGB, of the same size.
        scores: Of a classifier, the best classes with their scores.
        rows: The table: cells as in :data:`HEADERS`.
        told: One line: what was found, and how long it took.
    """

    image: NDArray[np.uint8]
    drawn: NDArray[np.uint8]
    scores: dict[str, float] = field(default_factory=dict)
    rows: list[list[str | float]] = field(default_factory=list)
    told: str = ""


class DemoModel:
    """A model with a name.

    Args:
        name: What the page calls it.
        cfg: Its config.
        predictor: It, with its weights.
    """

    def __init__(self, name: str, cfg: Config, predictor: Predictor) -> None:
        self.name = name
        self.cfg = cfg
        self.predictor = predictor
        self.meta: dict[str, Any] = predictor.model.dataset_meta
        self._drawer = Drawer(cfg, self.meta)

    @property
    def _panoptic(self) -> bool:
        return bool(self.cfg.model.get("panoptic_head"))

    @property
    def tab(self) -> str:
        """Which of :data:`TABS` it belongs to: panoptic models label every pixel, too."""
        if self._panoptic:
            return SEGMENTATION
        return {"classification": CLASSIFICATION, "detection": DETECTION}.get(
            self.predictor.task, SEGMENTATION
        )

    def answer(self, file: Path, threshold: float, opacity: float) -> Answer:
        """Predict on an image.

        Args:
            file: The image.
            threshold: Boxes of a lower score are neither drawn nor listed.
            opacity: Of what is drawn, from 0 to 1.

        Raises:
            DataError: The image cannot be read.
        """
        with _ONE_AT_A_TIME:
            start = time.perf_counter()
            prepared = self.predictor.read(file)
            read = time.perf_counter()
            (sample,) = self.predictor.predict([prepared])
            predicted = time.perf_counter()
            self._drawer.threshold = threshold
            drawn = self._drawer.draw(prepared.image, sample)
        image = prepared.image
        if drawn.shape == image.shape:
            drawn = (image + (drawn.astype(np.float32) - image) * opacity).round().astype(np.uint8)
        rows = self._rows(sample, threshold)
        device = next(self.predictor.model.parameters()).device
        times = f"read in {read - start:.2f} s, predicted in {predicted - read:.2f} s on {device}"
        return Answer(
            np.ascontiguousarray(image[..., ::-1]),
            np.ascontiguousarray(drawn[..., ::-1]),
            {str(row[0]): float(row[1]) for row in rows} if self.tab == CLASSIFICATION else {},
            rows,
            f"{image.shape[1]} x {image.shape[0]} pixels, {self._found(rows)}; {times}",
        )

    def _rows(self, sample: Any, threshold: float) -> list[list[str | float]]:
        classes = self.meta.get("classes") or ()
        if self.tab == CLASSIFICATION:
            best = best_classes(sample.pred_score.numpy(), classes)
            return [[each["class"], round(each["score"], 3)] for each in best]
        if self.tab == DETECTION:
            found = to_coco(sample.pred_instances, 0, threshold)
            found.sort(key=lambda each: -each["score"])
            return [
                [
                    str(classes[each["category_id"] - 1]),
                    round(each["score"], 3),
                    *map(round, each["bbox"]),
                ]
                for each in found
            ]
        if "pred_panoptic_seg" in sample:
            segments = sample.pred_panoptic_seg.sem_seg[0].numpy()
            things = self.meta.get("thing_classes") or ()
            found = to_panoptic(segments, classes, things)[1]
            names = _number([str(classes[each["category_id"] - 1]) for each in found])
            areas = (each["area"] / segments.size for each in found)
            shares = dict(zip(names, areas, strict=True))
        else:
            labels = sample.pred_sem_seg.data[0].numpy()
            numbers, counts = np.unique(labels, return_counts=True)
            shares = {
                str(classes[number]): count / labels.size
                for number, count in zip(numbers, counts, strict=True)
                if number < len(classes)
            }
        ordered = sorted(shares.items(), key=lambda each: -each[1])
        return [[name, round(100 * float(share), 2)] for name, share in ordered]

    def _found(self, rows: list[list[str | float]]) -> str:
        if self.tab == CLASSIFICATION:
            return f"{rows[0][0]}"
        kind = "objects" if self.tab == DETECTION else "segments" if self._panoptic else "classes"
        return f"{len(rows)} {kind}"


def _number(names: Sequence[str]) -> list[str]:
    """Names of which none is twice: ``laptop 1``, ``laptop 2``, ``sea``."""
    counts, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if counts[name] > 1 else name)
    return numbered


def load_models(pairs: list[tuple[str, str | None]], device: str) -> list[DemoModel]:
    """The models of configs and checkpoints; each gets a name of its own.

    Args:
        pairs: Paths of configs, or names of models, with the files of their weights.
        device: Where they compute.

    Raises:
        ConfigError: A config cannot be used, or none is given.
        CheckpointError: A file cannot be used.
    """
    if not pairs:
        raise ConfigError(
            "--model is missing: give a config and its weights, such as --model "
            "configs/classification/van_t_in1k_sample.py work_dirs/van_t_in1k_sample/epoch_12.pth"
        )
    models: list[DemoModel] = []
    for config, checkpoint in pairs:
        cfg = find_config(config)
        address = find_checkpoint(config, checkpoint)
        name = Path(cfg.filename).stem
        same = sum(each.name.partition(" ")[0] == name for each in models)
        predictor = Predictor(build_model(cfg, address, device))
        models.append(DemoModel(f"{name} {same + 1}" if same else name, cfg, predictor))
    return models


def answer(
    models: list[DemoModel],
    name: str,
    file: str | Path | None,
    threshold: float,
    opacity: float,
    limits: Limits,
) -> Answer:
    """What the page asks for when its button is pressed.

    Raises:
        DataError: The upload cannot be used.
        ConfigError: There is no such model.
    """
    path = check_upload(file, limits)
    chosen = {model.name: model for model in models}
    if name not in chosen:
        raise ConfigError(f"No model {name}.{did_you_mean(name, chosen)}")
    return chosen[name].answer(path, threshold, opacity)
