"""Predictions as files that other programs read: JSON, and PNG for segmentation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_TOP = 5
_INSTANCE_OFFSET = 1000  # mmdet.evaluation.INSTANCE_OFFSET: a segment is label + 1000 x instance.


def best_classes(scores: NDArray[Any], classes: Sequence[str], count: int = _TOP) -> list[Any]:
    """The best classes of an image, the best one first.

    Args:
        scores: Of each class, shape (classes,).
        classes: Their names.
        count: At most so many.
    """
    best = np.argsort(-scores, kind="stable")[:count]
    return [
        {"label": int(i), "class": _name(classes, int(i)), "score": round(float(scores[i]), 6)}
        for i in best
    ]


def to_coco(instances: Any, image_id: int, threshold: float) -> list[dict[str, Any]]:
    """Instances in COCO's result format.

    Args:
        instances: mmdet's ``pred_instances``, on the CPU.
        image_id: Of their image.
        threshold: Instances of a lower score are left out.

    Returns:
        list[dict[str, Any]]: ``bbox`` is (x, y, width, height) in pixels, ``segmentation`` COCO's
        compressed run-length code, ``category_id`` the label + 1.
    """
    chosen = instances[instances.scores >= threshold]
    masks = chosen.masks.numpy() if "masks" in chosen else [None] * len(chosen)
    return [
        _annotation(box, score, label, mask) | {"image_id": image_id}
        for box, score, label, mask in zip(
            chosen.bboxes.tolist(),
            chosen.scores.tolist(),
            chosen.labels.tolist(),
            masks,
            strict=True,
        )
    ]


def to_panoptic(
    segments: NDArray[np.integer[Any]], classes: Sequence[str], things: Sequence[str]
) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """A panoptic segmentation in COCO's format.

    Args:
        segments: mmdet's ids, shape (height, width): label + 1000 x instance, or the number of
            classes for none.
        classes: Names of the classes.
        things: Names of those that are countable.

    Returns:
        tuple[NDArray[np.uint8], list[dict[str, Any]]]: The PNG's pixels (height, width, 3), where
        R + 256 G + 65536 B is the segment's id and 0 means none, and COCO's
        ``segments_info``, with ``category_id`` the label + 1.
    """
    ids = np.zeros(segments.shape, np.uint32)
    infos: list[dict[str, Any]] = []
    for segment in np.unique(segments):
        label = int(segment) % _INSTANCE_OFFSET
        if segment == len(classes):
            continue
        where = segments == segment
        infos.append(
            {
                "id": len(infos) + 1,
                "category_id": label + 1,
                "area": int(where.sum()),
                "isthing": int(_name(classes, label) in things),
            }
        )
        ids[where] = len(infos)
    pixels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)
    return pixels, infos


class ResultFiles:
    """Collects predictions; label maps are written at once, and the JSON by :meth:`close`.

    ``predictions.json`` of a classifier is a list of ``{"image", "predictions"}``; of a detector it
    is a COCO dataset with ``images``, ``categories``, and ``annotations`` that have a ``score``.
    Segmentors write ``labels/<name>.png``, one label per pixel (panoptic: COCO's coloured ids), and
    the names of the classes into ``predictions.json``.

    Args:
        folder: Where to write.
        dataset_meta: ``classes`` and, of panoptic models, ``thing_classes``.
        threshold: Instances of a lower score are left out.
    """

    def __init__(self, folder: Path, dataset_meta: dict[str, Any], threshold: float) -> None:
        self.folder = folder
        self.classes: Sequence[str] = dataset_meta.get("classes") or ()
        self.things: Sequence[str] = dataset_meta.get("thing_classes") or ()
        self.threshold = threshold
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.ranked: list[dict[str, Any]] = []

    def add(self, name: str, sample: Any, size: tuple[int, int]) -> None:
        """Keep the prediction of an image.

        Args:
            name: What the image is called.
            sample: The library's data sample, on the CPU.
            size: Height and width of the image.
        """
        image: dict[str, Any] = {"id": len(self.images) + 1, "file_name": name}
        image |= {"height": size[0], "width": size[1]}
        self.images.append(image)
        if "pred_score" in sample:
            best = best_classes(sample.pred_score.numpy(), self.classes)
            self.ranked.append({"image": name, "predictions": best})
        if "pred_panoptic_seg" in sample:
            self._add_panoptic(image, sample.pred_panoptic_seg.sem_seg[0].numpy())
        elif "pred_instances" in sample:
            self.annotations += to_coco(sample.pred_instances, image["id"], self.threshold)
        elif "pred_sem_seg" in sample:
            labels = sample.pred_sem_seg.data[0].numpy()
            few = len(self.classes) <= 256
            image["labels"] = self._save(name, labels.astype(np.uint8 if few else np.int32))

    def close(self) -> Path:
        """Write ``predictions.json``.

        Returns:
            Path: The file.
        """
        for i, annotation in enumerate(self.annotations, start=1):
            annotation["id"] = annotation.get("id", i)
        categories = [{"id": i, "name": name} for i, name in enumerate(self.classes, start=1)]
        content: Any = self.ranked
        if not self.ranked:
            content = {"images": self.images, "categories": categories}
            content["annotations"] = self.annotations
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "predictions.json"
        path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
        return path

    def _add_panoptic(self, image: dict[str, Any], segments: NDArray[Any]) -> None:
        pixels, infos = to_panoptic(segments, self.classes, self.things)
        file = self._save(image["file_name"], pixels)
        self.annotations.append(
            {"image_id": image["id"], "file_name": file, "segments_info": infos}
        )

    def _save(self, name: str, pixels: NDArray[Any]) -> str:
        # The whole name, so that images that differ in their ending alone do not collide.
        path = self.folder / "labels" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path.relative_to(self.folder).as_posix()


def _annotation(box: Sequence[float], score: float, label: int, mask: Any) -> dict[str, Any]:
    left, top, right, bottom = box
    made: dict[str, Any] = {
        "category_id": label + 1,
        "bbox": [round(x, 2) for x in (left, top, right - left, bottom - top)],
        "score": round(score, 6),
        "area": round((right - left) * (bottom - top), 2),
        "iscrowd": 0,
    }
    if mask is not None:
        from pycocotools import mask as coco_mask

        code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        made["area"] = int(mask.sum())
        made["segmentation"] = {"size": code["size"], "counts": code["counts"].decode()}
    return made


def _name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label < len(classes) else str(label)
