"""Detections as a file's outputs and as mmdet's own structure, and how far two sets are apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmvan.deploy.images import LoadedImage
from mmvan.deploy.runtimes import Array

OUTPUTS = ("dets", "labels", "masks")
MASK_THRESHOLD = 0.5  # Of mmdet's mask heads; others are refused when a file is written.
# Two detections are the same if they have one label and overlap by more than this (IoU). Boxes and
# scores then differ by the order of sums alone; which of two nearly equal candidates is kept may
# differ too, hence the share.
_SAME = 0.9
_BOX, _SCORE, _MASK, _SHARE = 0.5, 1e-2, 0.02, 0.99


def detections_of(outputs: Sequence[Array], image: LoadedImage) -> Any:
    """Read one image's outputs.

    Args:
        outputs: Boxes and scores (K, 5), labels (K,) and, if any, masks (K, 28, 28) of an image.
            Rows with a score of 0 fill up the array.
        image: The image.

    Returns:
        mmengine.structures.InstanceData: ``bboxes`` (x1, y1, x2, y2) in pixels of the image file,
        ``scores``, ``labels`` and, if any, ``masks`` (boolean, in the size of the image file).
    """
    from mmengine.structures import InstanceData

    real = outputs[0][:, 4] > 0
    dets, labels, *masks = (torch.from_numpy(array[real]) for array in outputs)
    found = InstanceData(bboxes=dets[:, :4].clone(), scores=dets[:, 4], labels=labels)
    if masks:
        return _paste(found, masks[0], image)
    found.bboxes = found.bboxes / torch.tensor(image.scale * 2)
    return found


def _paste(found: Any, masks: torch.Tensor, image: LoadedImage) -> Any:
    """Lay masks over the image by mmdet's own head, which also scales the boxes."""
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from mmengine.config import ConfigDict

    head = FCNMaskHead(num_convs=0, in_channels=1, conv_out_channels=1, class_agnostic=True)
    meta = {
        "scale_factor": image.scale,
        "ori_shape": image.size,
        "img_shape": image.image.shape[1:],
    }
    settings = ConfigDict(mask_thr_binary=MASK_THRESHOLD)
    logits = torch.logit(masks.unsqueeze(1))  # The head computes the sigmoid again.
    return head.predict_by_feat([logits], [found], [meta], settings, rescale=True)[0]


@dataclass(frozen=True)
class Agreement:
    """How far detections are from PyTorch's.

    Args:
        box: Largest difference of a side, in pixels of the image file.
        score: Largest difference of a score.
        mask: Largest share of pixels of a mask (its union with PyTorch's) that differ.
        matched: Detections that have a counterpart, of both sides.
        detections: All detections of both sides.
        seconds: Time of PyTorch and of the runtime.
    """

    box: float = 0.0
    score: float = 0.0
    mask: float = 0.0
    matched: int = 0
    detections: int = 0
    seconds: tuple[float, float] = (0.0, 0.0)

    def within(self) -> bool:
        """Whether the differences are in the tolerance; NaN never is."""
        near = self.box <= _BOX and self.score <= _SCORE and self.mask <= _MASK
        return near and self.matched >= _SHARE * self.detections

    def __str__(self) -> str:
        share = self.matched / self.detections if self.detections else 0.0
        return (
            f"max difference of boxes {self.box:.3g} px, scores {self.score:.3g}, masks "
            f"{self.mask:.3%}; {share:.2%} of {self.detections} detections agree; PyTorch "
            f"{self.seconds[0]:.2f} s, the file {self.seconds[1]:.2f} s"
        )


TOLERANCE = f"boxes {_BOX} px, scores {_SCORE}, masks {_MASK:.0%}, {_SHARE:.0%} agree"


def agreement_of(expected: Any, found: Any) -> Agreement:
    """Compare the detections of one image, each with the nearest one of its label."""
    from mmdet.structures.bbox import bbox_overlaps

    overlaps = bbox_overlaps(expected.bboxes, found.bboxes)
    overlaps[expected.labels[:, None] != found.labels[None]] = -1.0
    box = score = mask = 0.0
    pairs = 0
    for row in range(len(expected)):
        if not len(found) or float(overlaps[row].max()) <= _SAME:
            continue
        other = int(overlaps[row].argmax())
        overlaps[:, other] = -1.0
        a, b = expected[row], found[other]
        box = float(np.maximum(box, (a.bboxes - b.bboxes).abs().max()))
        score = float(np.maximum(score, (a.scores - b.scores).abs().max()))
        if "masks" in a:
            either = max(int((a.masks | b.masks).sum()), 1)
            mask = max(mask, int((a.masks ^ b.masks).sum()) / either)
        pairs += 1
    return Agreement(box, score, mask, 2 * pairs, len(expected) + len(found))


def summarise(agreements: Iterable[Agreement]) -> Agreement:
    """The worst differences, and all detections and times, of several images."""
    seen = list(agreements)
    # np.max, unlike max, keeps NaN.
    box, score, mask = (
        float(np.max([getattr(a, key) for a in seen])) for key in ("box", "score", "mask")
    )
    return Agreement(
        box,
        score,
        mask,
        sum(a.matched for a in seen),
        sum(a.detections for a in seen),
        (sum(a.seconds[0] for a in seen), sum(a.seconds[1] for a in seen)),
    )
