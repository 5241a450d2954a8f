"""The predictions that ``tools/test.py --out`` saved, and the truth of their dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import fileio
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image

from mmvan.engine.config import task_of
from mmvan.errors import DataError
from mmvan.visualization.augment import build_dataset

Array = NDArray[Any]


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image.

    Args:
        boxes: x1, y1, x2, y2 in pixels, shape (N, 4).
        labels: Shape (N,).
        scores: Shape (N,); 1 for the truth.
        ignored: Shape (N,); crowds and what the dataset says to ignore.
    """

    boxes: Array
    labels: Array
    scores: Array
    ignored: Array


@dataclass(frozen=True)
class Predicted:
    """A dataset with a model's predictions.

    Args:
        cfg: The config.
        dataset: Its test dataset.
        predictions: What was saved for each image, in the order of the dataset.
        path: Where.
    """

    cfg: Config
    dataset: Any
    predictions: Sequence[Any]
    path: Path

    @property
    def task(self) -> str:
        """``classification``, ``detection`` or ``segmentation``."""
        return task_of(self.cfg)

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.dataset.metainfo["classes"])

    def image(self, index: int) -> Path:
        """The image file of a prediction."""
        return Path(self.dataset.get_data_info(index)["img_path"])


def open_tested(cfg: Config, predictions: Path) -> Predicted:
    """Open saved predictions beside their dataset.

    Args:
        cfg: The config that they were made with.
        predictions: The ``.pkl``, or the folder of PNGs of a segmentor. A ``.pkl`` can execute
            code: open only your own.

    Raises:
        DataError: They are missing, of another kind, or of another dataset.
    """
    dataset = build_dataset(cfg, "test")
    if task_of(cfg) == "segmentation":
        return Predicted(cfg, dataset, _label_maps(dataset, predictions), predictions)
    if not predictions.is_file():
        raise DataError(
            f"PREDICTIONS {predictions}: no such file; make it by tools/test.py CONFIG CHECKPOINT "
            f"--out {predictions.with_suffix('.pkl')}"
        )
    saved = fileio.load(predictions)
    key = "pred_instances" if task_of(cfg) == "detection" else "pred_score"
    if not isinstance(saved, list) or not saved or key not in saved[0]:
        raise DataError(f"PREDICTIONS {predictions}: no list of {task_of(cfg)} results ({key})")
    if len(saved) != len(dataset):
        raise DataError(
            f"PREDICTIONS {predictions}: {len(saved)} images, but the test dataset of "
            f"{cfg.filename} has {len(dataset)}; expected those of one test"
        )
    if task_of(cfg) == "classification":
        _check_labels(saved, dataset, predictions)
    return Predicted(cfg, dataset, _in_order(saved, dataset), predictions)


def predicted_boxes(prediction: Any) -> Boxes:
    """The boxes of an entry of a detector's file."""
    found = prediction["pred_instances"]
    boxes, labels, scores = (np.asarray(found[k]) for k in ("bboxes", "labels", "scores"))
    return Boxes(boxes.reshape(-1, 4), labels, scores, np.zeros(len(labels), bool))


def true_boxes(dataset: Any, index: int) -> Boxes:
    """The annotated boxes of an image."""
    found = dataset.get_data_info(index)["instances"]
    boxes = np.array([each["bbox"] for each in found], np.float64).reshape(-1, 4)
    labels = np.array([each["bbox_label"] for each in found], np.int64)
    ignored = np.array([bool(each["ignore_flag"]) for each in found], bool)
    return Boxes(boxes, labels, np.ones(len(found)), ignored)


def label_map(tested: Predicted, index: int) -> tuple[Array, Array]:
    """Predicted and true label of each pixel of an image; the truth has 255 where it is unknown."""
    from mmseg.datasets.transforms import LoadAnnotations

    info = dict(tested.dataset.get_data_info(index))
    shift = int(bool(info.get("reduce_zero_label")))  # mmseg saves the labels as in the files.
    with Image.open(tested.predictions[index]) as image:
        predicted = np.asarray(image).astype(np.int64) - shift
    truth = LoadAnnotations()(info)["gt_seg_map"].astype(np.int64)
    if truth.shape != predicted.shape:
        raise DataError(
            f"{tested.predictions[index]}: {predicted.shape}, but its truth is {truth.shape}"
        )
    return predicted, truth


def _check_labels(saved: list[Any], dataset: Any, path: Path) -> None:
    """Refuse another dataset, or another order: a classifier's results do not name their images."""
    for i, each in enumerate(saved):
        truth = dataset.get_data_info(i)["gt_label"]
        if sorted(np.atleast_1d(truth).tolist()) != sorted(np.asarray(each["gt_label"]).tolist()):
            raise DataError(
                f"PREDICTIONS {path}: image {i} has the true label {each['gt_label']}, but "
                f"{truth} in the test dataset; expected the predictions of this dataset"
            )


def _in_order(saved: list[Any], dataset: Any) -> list[Any]:
    """Detectors' results in the order of the dataset, by the image's number."""
    if "img_id" not in saved[0]:
        return saved
    by_id = {each["img_id"]: each for each in saved}
    try:
        return [by_id[dataset.get_data_info(i)["img_id"]] for i in range(len(dataset))]
    except KeyError as error:
        raise DataError(f"PREDICTIONS: image {error} of the dataset is not in them") from error


def _label_maps(dataset: Any, folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(
            f"PREDICTIONS {folder}: no such folder; make it by tools/test.py CONFIG CHECKPOINT "
            f"--out {folder}"
        )
    names = [Path(dataset.get_data_info(i)["img_path"]).stem for i in range(len(dataset))]
    paths = [folder / f"{name}.png" for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"PREDICTIONS {folder}: {len(missing)} of {len(paths)} images of the test dataset are "
            f"missing, such as {missing[0]}"
        )
    return paths
