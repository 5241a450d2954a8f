"""From the outputs of a graph to labels, as the head of the model itself does it.

A library's head turns logits into scores and labels in its ``predict``. Each form that is known
here is that of some ``predict``, told by the functions that a head has rather than by its name: a
head with functions of its own, as a subclass may have, is refused.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvan.errors import DeployError


@dataclass(frozen=True)
class Decision:
    """How logits become scores and labels.

    Args:
        scores: ``softmax`` over the classes, or ``sigmoid`` of each class by itself.
        threshold: With ``sigmoid``: what a score must reach (a segmentor's: exceed) to be
            positive.
        topk: With ``sigmoid``: how many of the best classes are positive, where there is no
            threshold.
        align_corners: How a segmentor's logits are resized to the size of the image.
    """

    scores: Literal["softmax", "sigmoid"]
    threshold: float | None = None
    topk: int | None = None
    align_corners: bool = False

    def class_scores(self, logits: Tensor) -> Tensor:
        """Scores of one image's classes, shape (C,), from its logits."""
        return logits.softmax(0) if self.scores == "softmax" else logits.sigmoid()

    def class_labels(self, scores: Tensor) -> Tensor:
        """Labels of one image: the best one with ``softmax``, else all that are positive."""
        if self.scores == "softmax":
            return scores.argmax(0, keepdim=True)
        if self.threshold is not None:
            return torch.where(scores >= self.threshold)[0]
        assert self.topk is not None  # Of a head without a threshold.
        return scores.topk(self.topk)[1]

    def label_map(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Labels of one image's pixels.

        Args:
            logits: Shape (C, h, w).
            size: Height and width of the image file, in pixels.

        Returns:
            Tensor: Shape (height, width), int64. The logits are resized, not the labels.
        """
        resized = F.interpolate(
            logits[None], size, mode="bilinear", align_corners=self.align_corners
        )[0]
        if self.threshold is not None:
            return (resized[0].sigmoid() > self.threshold).long()
        return resized.argmax(0)


def decision_of(model: nn.Module, task: str) -> Decision:
    """Tell how a model decides.

    Args:
        model: mmpretrain's classifier or mmseg's segmentor.
        task: ``classification`` or ``segmentation``.

    Raises:
        DeployError: By functions that are not known here; the message names the head and those
            that are accepted.
    """
    return _of_classifier(model) if task == "classification" else _of_segmentor(model)


def _of_classifier(model: Any) -> Decision:
    from mmpretrain.models import ClsHead, ImageClassifier, MultiLabelClsHead
    from mmpretrain.registry import MODELS

    own = ("predict", "_get_predictions")
    accepted = [
        name
        for name, head in MODELS.module_dict.items()
        if any(_same(head, base, own) for base in (ClsHead, MultiLabelClsHead))
    ]
    if not _same(type(model), ImageClassifier, ("forward", "predict", "extract_feat")):
        raise _refusal(type(model), "ImageClassifier with the heads", accepted)
    head = model.head
    if _same(type(head), ClsHead, own):
        return Decision("softmax")
    if _same(type(head), MultiLabelClsHead, own):
        return Decision("sigmoid", head.thr, None if head.thr is not None else head.topk)
    raise _refusal(type(head), "the heads", accepted)


def _of_segmentor(model: Any) -> Decision:
    from mmseg.models import EncoderDecoder
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    from mmseg.registry import MODELS

    own = ("predict", "predict_by_feat")
    accepted = [name for name, h in MODELS.module_dict.items() if _same(h, BaseDecodeHead, own)]
    whole = ("predict", "postprocess_result", "inference", "whole_inference", "encode_decode")
    if not _same(type(model), EncoderDecoder, (*whole, "extract_feat")):
        raise _refusal(type(model), "EncoderDecoder with the heads", accepted)
    head = model.decode_head
    if not _same(type(head), BaseDecodeHead, own):
        raise _refusal(type(head), "the heads", accepted)
    binary = model.out_channels == 1
    return Decision(
        "sigmoid" if binary else "softmax",
        head.threshold if binary else None,
        align_corners=bool(model.align_corners),
    )


def _same(kind: Any, base: type, functions: Iterable[str]) -> bool:
    """Whether a class is of a kind and leaves its functions as they are."""
    find: Callable[[Any, str], Any] = getattr
    is_kind = isinstance(kind, type) and issubclass(kind, base)
    return is_kind and all(find(kind, name) is find(base, name) for name in functions)


def _refusal(kind: type, what: str, accepted: Iterable[str]) -> DeployError:
    return DeployError(
        f"--part whole: {kind.__name__} predicts by functions of its own, which an exported file "
        f"would not repeat. Export --part features. With --part whole go {what} "
        f"{', '.join(sorted(accepted))}, and their subclasses that predict as they do"
    )
