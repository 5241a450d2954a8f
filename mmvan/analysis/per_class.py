"""The metric of each class, by the library that computes the whole."""

import contextlib
import io
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmvan.analysis.section import Section
from mmvan.analysis.sources import Predicted, label_map
from mmvan.visualization.figures import new_figure

_IGNORED = 255
_BARS = 40


def per_class_section(tested: Predicted) -> Section:
    """AP (COCO), IoU (mmseg) or precision and recall (mmpretrain) of each class, worst first."""
    compute = {
        "classification": _classification,
        "detection": _detection,
        "segmentation": _segmentation,
    }[tested.task]
    columns, rows, text = compute(tested)
    rows.sort(key=lambda row: (np.isnan(row[1]), row[1]))
    figure = _plot(rows, columns[1], tested.path.name)
    return Section(
        "per_class", "Each class", text, columns, rows, [(f"{columns[1]}, worst first", figure)]
    )


def _classification(tested: Predicted) -> tuple[tuple[str, ...], list[Any], str]:
    from mmpretrain.evaluation import SingleLabelMetric

    scores = torch.stack([torch.as_tensor(each["pred_score"]) for each in tested.predictions])
    truth = torch.cat([torch.as_tensor(each["gt_label"]) for each in tested.predictions])
    precision, recall, f1, support = SingleLabelMetric.calculate(
        scores.argmax(1), truth, num_classes=len(tested.classes), average=None
    )
    rows = [
        (name, float(f1[i]), float(precision[i]), float(recall[i]), int(support[i]))
        for i, name in enumerate(tested.classes)
    ]
    columns = ("class", "F1 (%)", "precision (%)", "recall (%)", "images")
    return columns, rows, "By mmpretrain's SingleLabelMetric, of the best class of each image."


def _detection(tested: Predicted) -> tuple[tuple[str, ...], list[Any], str]:
    dataset = tested.dataset
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress.
        truth = COCO(dataset.ann_file)
        kinds = {"box": "bbox"}
        if "masks" in tested.predictions[0]["pred_instances"]:
            kinds["mask"] = "segm"
        found = {
            name: class_ap(truth, coco_results(tested, kind), kind, list(dataset.cat_ids))
            for name, kind in kinds.items()
        }
    columns = ["class"]
    columns += [f"{name} {ap} (%)" for name in kinds for ap in ("AP", "AP50")]
    rows = [
        (name, *(float(100 * value) for which in kinds for value in found[which][i]))
        for i, name in enumerate(tested.classes)
    ]
    text = "COCO's AP (IoU 0.50 to 0.95) and AP50 by pycocotools; nan: no object of the class."
    return tuple(columns), rows, text


def coco_results(tested: Predicted, kind: str) -> list[dict[str, Any]]:
    """All predictions in COCO's result format, with the dataset's own category numbers."""
    results = []
    for prediction in tested.predictions:
        found = prediction["pred_instances"]
        boxes, labels, scores = (np.asarray(found[k]) for k in ("bboxes", "labels", "scores"))
        for i in range(len(labels)):
            left, top, right, bottom = map(float, boxes[i])
            each: dict[str, Any] = {
                "image_id": prediction["img_id"],
                "category_id": tested.dataset.cat_ids[int(labels[i])],
                "bbox": [left, top, right - left, bottom - top],
                "score": float(scores[i]),
            }
            if kind == "segm":
                each["segmentation"] = found["masks"][i]
                each["area"] = float(coco_mask.area(found["masks"][i]))
                del each["bbox"]
            results.append(each)
    return results


def class_ap(
    truth: COCO, results: list[dict[str, Any]], kind: str, categories: list[int]
) -> list[tuple[float, float]]:
    """AP and AP50 of each category by pycocotools, from 0 to 1; nan without an object.

    Args:
        truth: The annotations.
        results: COCO's result format.
        kind: ``bbox`` or ``segm``.
        categories: Numbers of the categories, in the order of the result.
    """
    if not results:
        return [(0.0, 0.0) if truth.getAnnIds(catIds=[c]) else (np.nan,) * 2 for c in categories]
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.params.catIds = categories
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class; all sizes.
    found = []
    for i in range(len(categories)):
        known = precision[:, :, i]
        if (known < 0).all():
            found.append((np.nan, np.nan))
        else:
            found.append((float(known.mean()), float(known[0].mean())))
    return found


def _segmentation(tested: Predicted) -> tuple[tuple[str, ...], list[Any], str]:
    from mmseg.evaluation import IoUMetric

    count = len(tested.classes)
    areas = [torch.zeros(count) for _ in range(4)]
    for i in range(len(tested.predictions)):
        predicted, truth = map(torch.from_numpy, label_map(tested, i))
        found = IoUMetric.intersect_and_union(predicted, truth, count, _IGNORED)
        areas = [total + area for total, area in zip(areas, found, strict=True)]
    metrics = IoUMetric.total_area_to_metrics(*areas, metrics=["mIoU"])
    rows = [
        (name, float(100 * metrics["IoU"][i]), float(100 * metrics["Acc"][i]), int(areas[3][i]))
        for i, name in enumerate(tested.classes)
    ]
    columns = ("class", "IoU (%)", "accuracy (%)", "true pixels")
    return columns, rows, "By mmseg's IoUMetric; nan: no pixel of the class."


def _plot(rows: list[Any], unit: str, note: str) -> Figure:
    shown = [row for row in rows if not np.isnan(row[1])][:_BARS]
    title = f"{unit} of each class" + (f", the worst {_BARS}" if len(rows) > _BARS else "")
    figure, axes = new_figure(1, 1, title, note, (7.5, 0.24 * len(shown) + 1))
    place = axes[0, 0]
    bars = place.barh(range(len(shown)), [row[1] for row in shown], color="tab:blue")
    place.bar_label(bars, fmt="%.1f", fontsize="x-small", padding=2)
    place.set_yticks(range(len(shown)), [row[0] for row in shown], fontsize="small")
    place.set(xlabel=unit, xlim=(0, 108))
    place.invert_yaxis()
    place.grid(axis="x", alpha=0.3)
    return figure
