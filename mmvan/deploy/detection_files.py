"""Writing what a whole detector found: a drawn image and a JSON file for each image."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

from mmvan.deploy.contract import Contract
from mmvan.deploy.detections import detections_of
from mmvan.deploy.images import LoadedImage
from mmvan.deploy.runtimes import Array

_DRAWN_SCORE = 0.3  # The JSON file has all detections; the image those that are worth a look.


class DetectionWriter:
    """Writes ``NAME.json`` and ``NAME.overlay.png`` for each image.

    Args:
        contract: What the file says about itself.
        folder: The folder of the images.
        out: The folder to write to.
    """

    def __init__(self, contract: Contract, folder: Path, out: Path) -> None:
        from mmdet.visualization import DetLocalVisualizer

        self.classes = contract.classes
        self.folder, self.out = folder, out
        self.visualizer = DetLocalVisualizer()
        # mmdet takes a tuple for one color.
        palette = list(contract.palette) or "random"
        self.visualizer.dataset_meta = {"classes": contract.classes, "palette": palette}

    def write(self, image: LoadedImage, outputs: Sequence[Array]) -> None:
        """Write one image's detections, in pixels of its file."""
        from mmdet.structures import DetDataSample

        found = detections_of(outputs, image)
        place = self.out / image.path.relative_to(self.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        entries = [self._entry(found[row]) for row in range(len(found))]
        place.with_name(f"{place.name}.json").write_text(json.dumps(entries), encoding="utf-8")
        drawing = mmcv.imread(str(image.path), channel_order="rgb")
        self.visualizer.add_datasample(
            image.path.name,
            drawing,
            DetDataSample(pred_instances=found),
            draw_gt=False,
            pred_score_thr=_DRAWN_SCORE,
        )
        drawn = np.ascontiguousarray(self.visualizer.get_image()[..., ::-1])
        cv2.imwrite(str(place.with_name(f"{place.name}.overlay.png")), drawn)

    def _entry(self, one: Any) -> dict[str, Any]:
        """One detection as COCO's results have it, with the class by name too."""
        left, top, right, bottom = one.bboxes[0].tolist()
        label = int(one.labels[0])
        entry: dict[str, Any] = {
            "label": label,
            "category": self.classes[label] if label < len(self.classes) else "",
            "score": float(one.scores[0]),
            "bbox": [left, top, right - left, bottom - top],
        }
        if "masks" in one:
            from pycocotools import mask

            runs = mask.encode(np.asfortranarray(one.masks[0].numpy(), dtype=np.uint8))
            entry["segmentation"] = {"size": runs["size"], "counts": runs["counts"].decode()}
        return entry
