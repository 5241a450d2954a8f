"""The kinds of a detector's errors, after TIDE (Bolya et al., arXiv 2008.08115, section 2.2)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from mmvan.analysis.section import Section
from mmvan.analysis.sources import Boxes, Predicted, predicted_boxes, true_boxes
from mmvan.visualization.figures import new_figure

FOREGROUND, BACKGROUND = 0.5, 0.1  # TIDE's IoU thresholds t_f and t_b.
KINDS = {
    "correct": f"same class, IoU >= {FOREGROUND}, the first of its object",
    "duplicate": f"same class, IoU >= {FOREGROUND}, but the object has a box of a higher score",
    "wrong class": f"IoU >= {FOREGROUND} with an object of another class",
    "poor box": f"same class, {BACKGROUND} <= IoU < {FOREGROUND}",
    "wrong class, poor box": f"another class, {BACKGROUND} <= IoU < {FOREGROUND}",
    "background": f"IoU < {BACKGROUND} with every object",
    "missed": "an object that no box finds, and none of wrong class or poor box is about",
}


@dataclass(frozen=True)
class ImageErrors:
    """The errors of one image.

    Args:
        kinds: Of each box above the threshold, one of :data:`KINDS`, or ``ignored``.
        missed: Indices of the objects that are missed.
    """

    kinds: list[str]
    missed: list[int]


def overlaps(boxes: NDArray[np.float64], truth: Boxes) -> NDArray[np.float64]:
    """IoU of each box with each object, by pycocotools; with a crowd, the share of the box in it.

    Args:
        boxes: x1, y1, x2, y2, shape (N, 4).
        truth: M objects.

    Returns:
        NDArray[np.float64]: Shape (N, M).
    """
    if not len(boxes) or not len(truth.boxes):
        return np.zeros((len(boxes), len(truth.boxes)))
    return np.asarray(
        coco_mask.iou(_xywh(boxes), _xywh(truth.boxes), truth.ignored.astype(np.uint8).tolist())
    )


def find_errors(found: Boxes, truth: Boxes, threshold: float) -> ImageErrors:
    """Tell the kind of each box and the missed objects.

    Boxes are matched in the order of their scores, each to the free object of its class with the
    largest IoU. A box that fits several kinds is the first of :data:`KINDS` that it fits. Boxes
    that lie to a half in an ignored region of their class are ignored, as in COCO.

    Args:
        found: The predictions.
        truth: The objects.
        threshold: Boxes of a lower score are left out.
    """
    chosen = [i for i in np.argsort(-found.scores, kind="stable") if found.scores[i] >= threshold]
    iou = overlaps(found.boxes[chosen], truth)
    same = found.labels[chosen][:, None] == truth.labels[None]
    taken = _match(iou, same, truth.ignored)
    kinds = [
        "correct" if i in taken else _kind(iou[i], same[i], truth.ignored)
        for i in range(len(chosen))
    ]
    covered = set(taken.values())
    for i, kind in enumerate(kinds):
        if kind in ("wrong class", "poor box"):
            about = same[i] if kind == "poor box" else ~same[i]
            covered.add(int(np.where(about & ~truth.ignored, iou[i], -1).argmax()))
    missed = [j for j in range(len(truth.labels)) if not truth.ignored[j] and j not in covered]
    return ImageErrors(kinds, missed)


def count_errors(tested: Predicted, threshold: float) -> list[ImageErrors]:
    """The errors of every image of a test."""
    return [
        find_errors(predicted_boxes(prediction), true_boxes(tested.dataset, i), threshold)
        for i, prediction in enumerate(tested.predictions)
    ]


def errors_section(tested: Predicted, threshold: float) -> Section:
    """How often each kind occurs, with a bar for each."""
    images = count_errors(tested, threshold)
    counts = Counter(kind for image in images for kind in image.kinds)
    counts["missed"] = sum(len(image.missed) for image in images)
    objects = sum(int((~true_boxes(tested.dataset, i).ignored).sum()) for i in range(len(images)))
    boxes = sum(len(image.kinds) for image in images)
    rows = [(kind, counts[kind], text) for kind, text in KINDS.items()]
    text = (
        f"{boxes} boxes with a score of at least {threshold} and {objects} objects in "
        f"{len(images)} images. Kinds and IoU thresholds are TIDE's (arXiv 2008.08115); a box is "
        "of the first kind that fits it."
    )
    if counts["ignored"]:
        text += f" {counts['ignored']} boxes in ignored regions are left out."
    figure, axes = new_figure(1, 1, "Errors of the detector", tested.path.name, (7.5, 3.2))
    names = [kind for kind in KINDS if kind != "correct"]
    bars = axes[0, 0].barh(names, [counts[kind] for kind in names], color="tab:red")
    axes[0, 0].bar_label(bars, padding=3, fontsize="small")
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel(f"boxes or objects (score >= {threshold})")
    return Section(
        "errors",
        "Errors of the detector",
        text,
        ("kind", "count", "definition"),
        list(rows),
        [("How often each kind occurs", figure)],
    )


def _match(
    iou: NDArray[np.float64], same: NDArray[np.bool_], ignored: NDArray[np.bool_]
) -> dict[int, int]:
    """The object of each box that has one; boxes are in the order of their scores."""
    taken: dict[int, int] = {}
    free = ~ignored
    for i in range(len(iou)):
        fitting = np.where(same[i] & free, iou[i], -1)
        if fitting.size and fitting.max() >= FOREGROUND:
            taken[i] = int(fitting.argmax())
            free[taken[i]] = False
    return taken


def _kind(iou: NDArray[np.float64], same: NDArray[np.bool_], ignored: NDArray[np.bool_]) -> str:
    """The kind of a box without an object."""
    own, other = (iou[which & ~ignored].max(initial=0) for which in (same, ~same))
    if own >= FOREGROUND:
        return "duplicate"
    if iou[same & ignored].max(initial=0) >= FOREGROUND:
        return "ignored"
    if other >= FOREGROUND:
        return "wrong class"
    if own >= BACKGROUND:
        return "poor box"
    return "wrong class, poor box" if other >= BACKGROUND else "background"


def _xywh(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float64)
