"""The images that a model does worst on, and contact sheets of a dataset."""

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from mmvan.analysis.errors import count_errors
from mmvan.analysis.section import Section
from mmvan.analysis.sources import Predicted, label_map
from mmvan.inference.draw import Drawer
from mmvan.visualization.figures import new_figure, show_image

_IGNORED = 255
_COLUMNS = 3
Drawn = tuple[str, NDArray[np.uint8]]


def worst_section(tested: Predicted, count: int, threshold: float) -> Section:
    """The worst images as a table, and drawn: the truth left of the prediction.

    Args:
        tested: The predictions.
        count: At most so many images.
        threshold: Boxes of a lower score are left out.
    """
    scores, definition = image_scores(tested, threshold)
    order = [int(i) for i in np.argsort(scores, kind="stable")[:count]]
    drawer = Drawer(tested.cfg, dict(tested.dataset.metainfo), threshold)
    images = [(f"{tested.image(i).name}: {scores[i]:.3g}", _draw(tested, i, drawer)) for i in order]
    rows = [(rank, str(tested.image(i)), float(scores[i])) for rank, i in enumerate(order, start=1)]
    side = "truth and prediction are written on the image"
    if tested.task != "classification":
        side = "truth left, prediction right"
    title = f"The {len(order)} worst images ({side})"
    figure = contact_sheet(images, title, f"{tested.path.name}; {definition}")
    text = f"Ordered by: {definition}."
    columns = ("rank", "image", "score")
    return Section("worst", "Worst images", text, columns, rows, [(title, figure)])


def image_scores(tested: Predicted, threshold: float) -> tuple[list[float], str]:
    """How good the prediction of each image is, from 0 to 1, and how that is defined."""
    if tested.task == "classification":
        probabilities = [
            float(np.asarray(each["pred_score"])[int(np.asarray(each["gt_label"]).flat[0])])
            for each in tested.predictions
        ]
        return probabilities, "score of the true class"
    if tested.task == "detection":
        scores = []
        for image in count_errors(tested, threshold):
            right = image.kinds.count("correct")
            wrong = len(image.kinds) - image.kinds.count("ignored") - right + len(image.missed)
            scores.append(2 * right / (2 * right + wrong) if right + wrong else 1.0)
        return scores, f"2 correct / (2 correct + wrong + missed) boxes, score >= {threshold}"
    means = [_mean_iou(*label_map(tested, i)) for i in range(len(tested.predictions))]
    return means, "mean IoU of the classes in the image's truth or prediction"


def browse_section(cfg: Any, dataset: Any, indices: Sequence[int], subset: str) -> Section:
    """Images of a dataset with their annotations drawn, as they are stored."""
    drawer = Drawer(cfg, dict(dataset.metainfo))
    images: list[Drawn] = []
    rows = []
    for i in indices:
        info = dataset.get_data_info(i)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            packed = dataset[i]
        image = np.ascontiguousarray(packed["inputs"].permute(1, 2, 0).numpy())
        drawn = drawer.draw(image, packed["data_samples"], truth=True, prediction=False)
        images.append((f"image {i}", np.ascontiguousarray(drawn[..., ::-1])))
        rows.append((i, str(info["img_path"]), len(info.get("instances") or ())))
    title = f"Annotations of the {subset} dataset"
    note = f"{len(indices)} of {len(dataset)} images"
    figure = contact_sheet(images, title, note)
    columns = ("index", "image", "instances")
    return Section("browse", title, note, columns, rows, [(title, figure)])


def contact_sheet(images: Sequence[Drawn], title: str, note: str) -> Figure:
    """Titled images in rows."""
    columns = min(_COLUMNS, max(len(images), 1))
    rows = max(-(-len(images) // columns), 1)
    ratio = max((image.shape[0] / image.shape[1] for _, image in images), default=1.0)
    figure, axes = new_figure(rows, columns, title, note, (4.2, 4.2 * min(ratio, 1.0) + 0.3))
    for place in axes.flat:
        place.set_axis_off()
    for (name, image), place in zip(images, axes.flat, strict=False):
        show_image(place, image, name)
    return figure


def _draw(tested: Predicted, index: int, drawer: Drawer) -> NDArray[np.uint8]:
    """The image of the file with truth and prediction, RGB."""
    image = mmcv.imread(str(tested.image(index)))
    sample = {
        "classification": _class_sample,
        "detection": _box_sample,
        "segmentation": _map_sample,
    }[tested.task](tested, index)
    drawn = drawer.draw(image, sample, truth=True)
    return np.ascontiguousarray(drawn[..., ::-1])


def _class_sample(tested: Predicted, index: int) -> Any:
    from mmpretrain.structures import DataSample

    saved = tested.predictions[index]
    sample = DataSample().set_gt_label(saved["gt_label"])
    return sample.set_pred_label(saved["pred_label"]).set_pred_score(saved["pred_score"])


def _box_sample(tested: Predicted, index: int) -> Any:
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    from mmvan.analysis.sources import predicted_boxes, true_boxes

    found, truth = predicted_boxes(tested.predictions[index]), true_boxes(tested.dataset, index)
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.from_numpy(truth.boxes), labels=torch.from_numpy(truth.labels)
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(found.boxes),
        labels=torch.from_numpy(found.labels),
        scores=torch.from_numpy(found.scores),
    )
    return sample


def _map_sample(tested: Predicted, index: int) -> Any:
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    predicted, truth = (torch.from_numpy(each)[None] for each in label_map(tested, index))
    sample = SegDataSample()
    sample.gt_sem_seg = PixelData(data=truth)
    sample.pred_sem_seg = PixelData(data=predicted)
    return sample


def _mean_iou(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
    known = truth != _IGNORED
    predicted, truth = predicted[known], truth[known]
    ious = []
    for label in np.union1d(predicted, truth):
        one, other = predicted == label, truth == label
        ious.append(float((one & other).sum() / (one | other).sum()))
    return float(np.mean(ious)) if ious else 1.0
