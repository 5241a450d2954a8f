"""Confusion matrices of the three tasks."""

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmvan.analysis.errors import FOREGROUND, overlaps
from mmvan.analysis.section import Section
from mmvan.analysis.sources import Boxes, Predicted, label_map, predicted_boxes, true_boxes
from mmvan.visualization.figures import new_figure

_LISTED = 30  # Pairs of classes in the table.
_WITH_NUMBERS = 12  # Up to so many classes the cells of the figure have numbers.
Matrix = NDArray[np.int64]


def confusion_section(tested: Predicted, threshold: float) -> Section:
    """The matrix as a figure, and the pairs that are confused most as a table."""
    matrix, names, unit = confusion_matrix(tested, threshold)
    pairs = [
        (names[i], names[j], int(matrix[i, j]), float(matrix[i, j] / max(matrix[i].sum(), 1)))
        for i in range(len(names))
        for j in range(len(names))
        if i != j and matrix[i, j]
    ]
    pairs.sort(key=lambda pair: -pair[2])
    text = f"Rows are the truth, columns the prediction, in {unit}."
    if tested.task == "detection":
        text += (
            f" Boxes with a score of at least {threshold} and objects are matched one to one where "
            f"their IoU is {FOREGROUND} or more, whatever their classes, the highest scores first."
        )
    return Section(
        "confusion",
        "Confusion matrix",
        text,
        ("truth", "prediction", unit, "share of the truth"),
        pairs[:_LISTED],
        [("Shares of each row", _plot(matrix, names, tested.path.name))],
    )


def confusion_matrix(tested: Predicted, threshold: float) -> tuple[Matrix, list[str], str]:
    """Count truth against prediction.

    Args:
        tested: The predictions.
        threshold: Boxes of a lower score are left out.

    Returns:
        tuple[Matrix, list[str], str]: Counts with the truth in rows; names of rows and columns, of
        a detector with one more for nothing; what is counted.
    """
    names = tested.classes
    count = len(names)
    if tested.task == "classification":
        from mmpretrain.evaluation import ConfusionMatrix

        scores = torch.stack([torch.as_tensor(each["pred_score"]) for each in tested.predictions])
        truth = torch.cat([torch.as_tensor(each["gt_label"]) for each in tested.predictions])
        return ConfusionMatrix.calculate(scores, truth, count).numpy(), names, "images"
    if tested.task == "segmentation":
        matrix = np.zeros((count, count), np.int64)
        for i in range(len(tested.predictions)):
            predicted, truth_map = label_map(tested, i)
            known = truth_map < count  # 255 is unknown; mmseg's metric leaves the others out, too.
            pairs = truth_map[known] * count + predicted[known]
            matrix += np.bincount(pairs, minlength=count**2).reshape(count, count)
        return matrix, names, "pixels"
    matrix = np.zeros((count + 1, count + 1), np.int64)
    for i, prediction in enumerate(tested.predictions):
        truth_boxes = true_boxes(tested.dataset, i)
        for pair in match_any_class(predicted_boxes(prediction), truth_boxes, threshold, count):
            matrix[pair] += 1
    return matrix, [*names, "(nothing)"], "boxes"


def match_any_class(
    found: Boxes, truth: Boxes, threshold: float, nothing: int
) -> list[tuple[int, int]]:
    """Pairs of true and predicted label, with ``nothing`` for missed objects and false boxes."""
    order = [i for i in np.argsort(-found.scores, kind="stable") if found.scores[i] >= threshold]
    iou = overlaps(found.boxes[order], truth)
    free = ~truth.ignored
    pairs = []
    for row, i in enumerate(order):
        fitting = np.where(free, iou[row], -1)
        label = int(found.labels[i])
        if fitting.size and fitting.max() >= FOREGROUND:
            j = int(fitting.argmax())
            free[j] = False
            pairs.append((int(truth.labels[j]), label))
        elif not (truth.ignored & (iou[row] >= FOREGROUND)).any():
            pairs.append((nothing, label))
    return pairs + [(int(truth.labels[j]), nothing) for j in np.flatnonzero(free)]


def _plot(matrix: Matrix, names: list[str], note: str) -> Figure:
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = float(np.clip(0.42 * len(names) + 2.2, 4.5, 14))
    figure, axes = new_figure(1, 1, "Confusion matrix", note, (side + 1, side))
    place = axes[0, 0]
    drawn = place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=place, fraction=0.046, label="share of the true class")
    size = "small" if len(names) <= _WITH_NUMBERS else "xx-small"
    place.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    place.set_yticks(range(len(names)), names, fontsize=size)
    place.set_xlabel("prediction")
    place.set_ylabel("truth")
    if len(names) <= _WITH_NUMBERS:
        for (i, j), share in np.ndenumerate(shares):
            colour = "white" if share > 0.5 else "black"
            place.text(j, i, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=7)
    return figure
