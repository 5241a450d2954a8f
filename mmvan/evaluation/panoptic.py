"""Panoptic quality (Kirillov et al., arXiv 1801.00868) of mmdet's panoptic models."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.evaluation.metrics.coco_panoptic_metric import parse_pq_results, print_panoptic_table
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from mmvan.data.panoptic import read_ids
from mmvan.registry import METRICS

__all__ = ["PanopticQuality", "match_segments"]

# A segment is found, and a wrong one is forgiven, from more than this share on.
_HALF = 0.5
_VOID = -1


@METRICS.register_module()
class PanopticQuality(BaseMetric):
    """PQ, SQ and RQ in percent, of all classes, things (``_th``) and stuff (``_st``).

    The numbers and their names are those of mmdet's ``CocoPanopticMetric``, which needs
    panopticapi, a package that no index has. The truth is read from the PNG of each image, so no
    annotation file is to be named: ``seg_map_path`` and ``segments_info`` must be among the
    ``meta_keys`` of the test pipeline's ``PackDetInputs``.

    Args:
        classwise: Whether to print the values of each class too.
        backend_args: Where MMEngine finds files that are not on a local disk.
        collect_device: ``cpu`` or ``gpu``: where the processes' results are put together.
        prefix: Begins the names of the results.
    """

    default_prefix = "coco_panoptic"

    def __init__(
        self,
        classwise: bool = False,
        backend_args: dict[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise
        self.backend_args = backend_args

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Compare the predictions of a batch with the truth.

        Args:
            data_batch: Not used.
            data_samples: Predictions and meta information of each image.
        """
        classes = self.dataset_meta["classes"]
        things = {classes.index(name) for name in self.dataset_meta["thing_classes"]}
        for sample in data_samples:
            predicted = sample["pred_panoptic_seg"]["sem_seg"][0].cpu().numpy()
            truth = read_ids(sample["seg_map_path"], self.backend_args)
            segments = sample["segments_info"]
            self.results.append(match_segments(truth, segments, predicted, things, len(classes)))

    def compute_metrics(self, results: Sequence[NDArray[np.float64]]) -> dict[str, float]:
        """Put the images together.

        Args:
            results: What :func:`match_segments` returned for each image.

        Returns:
            dict[str, float]: Percents, by name.
        """
        classes, things = self.dataset_meta["classes"], self.dataset_meta["thing_classes"]
        of_class = [_qualities(counts) for counts in np.sum(results, axis=0)]
        is_thing = np.array([name in things for name in classes])
        parts = {"All": is_thing | True, "Things": is_thing, "Stuff": ~is_thing}
        averages = {name: _average(of_class, part) for name, part in parts.items()}
        by_name = dict(zip(classes, of_class, strict=True)) if self.classwise else None
        print_panoptic_table(averages, by_name, logger=MMLogger.get_current_instance())
        return parse_pq_results(averages)


def match_segments(
    truth: NDArray[np.int32],
    segments: Sequence[Mapping[str, Any]],
    predicted: NDArray[np.int32],
    things: Collection[int],
    num_classes: int,
) -> NDArray[np.float64]:
    """Match the predicted segments of an image with the true ones, by the rules of COCO.

    A segment is found if one of its class overlaps it with an IoU above 0.5, pixels of no true
    segment left out. A segment that finds nothing is wrong, unless more than half of it lies on
    such pixels or on a crowd of its class.

    Args:
        truth: Numbers of the true segments, shape (height, width).
        segments: ``id``, ``category`` (a label from 0) and ``is_thing`` of each true segment; one
            with the label of a thing that is none is a crowd.
        predicted: Labels plus 1000 times the number of the instance; the label ``num_classes`` is
            that of no segment. Shape (height, width).
        things: The labels of things.
        num_classes: How many labels there are.

    Returns:
        NDArray[np.float64]: Sum of IoUs, found, missed and wrong segments of each class, shape
        (num_classes, 4).
    """
    numbers, predictions, overlap = _overlaps(truth, predicted)
    label_of = {segment["id"]: segment["category"] for segment in segments}
    crowds = [s["id"] for s in segments if s["category"] in things and not s["is_thing"]]
    labels = np.array([label_of.get(number, _VOID) for number in numbers])
    real = (labels != _VOID) & ~np.isin(numbers, crowds)
    kept = predictions % INSTANCE_OFFSET < num_classes
    guesses, areas = predictions[kept] % INSTANCE_OFFSET, overlap.sum(0)[kept]
    void = overlap[labels == _VOID].sum(0)[kept]
    same = labels[:, None] == guesses

    shared = overlap[:, kept]
    union = overlap.sum(1)[real][:, None] + areas - shared[real] - void
    iou = shared[real] / union
    found = same[real] & (iou > _HALF)
    in_crowd = (shared * same)[np.isin(numbers, crowds)].sum(0)
    wrong = ~found.any(0) & ((void + in_crowd) / areas <= _HALF)

    counts = np.zeros((num_classes, 4))
    np.add.at(counts[:, 0], labels[real], (iou * found).sum(1))
    np.add.at(counts[:, 1], labels[real], found.any(1))
    np.add.at(counts[:, 2], labels[real], ~found.any(1))
    np.add.at(counts[:, 3], guesses, wrong)
    return counts


def _overlaps(
    truth: NDArray[np.int32], predicted: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """The numbers in both maps, and how many pixels each pair of them shares."""
    numbers, rows = np.unique(truth, return_inverse=True)
    predictions, columns = np.unique(predicted, return_inverse=True)
    shape = len(numbers), len(predictions)
    pairs = np.ravel_multi_index((rows.ravel(), columns.ravel()), shape)
    return numbers, predictions, np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)


def _qualities(counts: NDArray[np.float64]) -> dict[str, float]:
    """Panoptic, segmentation and recognition quality of a class; zeros where nothing is of it."""
    iou, found, missed, wrong = counts
    weight = found + (missed + wrong) / 2
    return {
        "pq": iou / weight if weight else 0.0,
        "sq": iou / found if found else 0.0,
        "rq": found / weight if weight else 0.0,
        "n": float(weight > 0),
    }


def _average(of_class: Sequence[Mapping[str, float]], part: NDArray[np.bool_]) -> dict[str, float]:
    """The mean over those classes of a part that occur, and their number."""
    occurring = [of_class[label] for label in np.flatnonzero(part) if of_class[label]["n"]]
    count = len(occurring)
    sums = {key: sum(quality[key] for quality in occurring) for key in ("pq", "sq", "rq")}
    return {**{key: value / max(count, 1) for key, value in sums.items()}, "n": count}
