"""The heads' choice of boxes as ONNX can say it: exactly what mmdet predicts, for a batch.

MMDeploy's own versions approximate: proposals of all levels suppress each other, every class of a
region gets the box of its best class, and candidates are chosen by their best class alone. These
do as mmdet does, with tensors of fixed rank: boxes are never filtered, but given a score of 0.

Each function takes the place of a head's ``predict_by_feat`` while a graph is traced, within
MMDeploy's rewriting context.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmvan.errors import DeployError


def select_proposals(
    self: Any,
    cls_scores: Sequence[Tensor],
    bbox_preds: Sequence[Tensor],
    batch_img_metas: Sequence[dict[str, Any]],
    cfg: Any = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Choose the proposals of an RPN, as ``RPNHead`` does.

    Args:
        self: The head.
        cls_scores: Scores of each level, (N, priors * classes, H, W).
        bbox_preds: Deltas of each level, (N, priors * 4, H, W).
        batch_img_metas: ``img_shape`` as a tensor (2,), the same for all images.
        cfg: Test settings; the head's own if None.

    Returns:
        tuple[Tensor, Tensor]: Boxes and scores (N, K, 5), and zeros (N, K) for labels.
    """
    cfg = self.test_cfg if cfg is None else cfg
    boxes, scores = [], []
    for level in _levels(self, cls_scores, bbox_preds, None):
        chosen = level.scores[..., 0].topk(cfg.nms_pre, dim=1)
        scores.append(chosen.values)
        boxes.append(_decode(self, level, chosen.indices, batch_img_metas[0]["img_shape"]))
    levels = [torch.full_like(s, index) for index, s in enumerate(scores)]
    dets, ids = suppress(
        torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(levels, 1), cfg.nms, cfg
    )
    return dets, torch.zeros_like(ids)


def select_regions(
    self: Any,
    rois: Tensor,
    cls_scores: Tensor,
    bbox_preds: Tensor,
    batch_img_metas: Sequence[dict[str, Any]],
    rcnn_test_cfg: Any,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Choose the detections among the regions of a two-stage detector, as ``BBoxHead`` does.

    Args:
        self: The head.
        rois: Index of the image and box of each region, (N, R, 5).
        cls_scores: Logits, (N, R, classes + 1).
        bbox_preds: Deltas, (N, R, classes * 4) or (N, R, 4).
        batch_img_metas: ``img_shape`` as a tensor (2,), the same for all images.
        rcnn_test_cfg: Test settings.

    Returns:
        tuple[Tensor, Tensor]: Boxes and scores (N, K, 5), and labels (N, K).
    """
    regions = rois[..., 1:]
    boxes = self.bbox_coder.decode(regions, bbox_preds, max_shape=batch_img_metas[0]["img_shape"])
    boxes = boxes.unflatten(2, (-1, 4)).expand(-1, -1, self.num_classes, -1)
    scores = cls_scores.softmax(-1)[..., : self.num_classes]
    # Regions without extent fill up the proposals of an image with few.
    filled = (regions[..., 2:] > regions[..., :2]).all(-1, keepdim=True)
    scores = scores.where(filled & (scores > rcnn_test_cfg.score_thr), torch.zeros(()))
    labels = torch.arange(self.num_classes).expand_as(scores)
    return suppress(
        boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1), rcnn_test_cfg.nms, rcnn_test_cfg
    )


def select_dense(
    self: Any,
    cls_scores: Sequence[Tensor],
    bbox_preds: Sequence[Tensor],
    score_factors: Sequence[Tensor] | None = None,
    batch_img_metas: Sequence[dict[str, Any]] = (),
    cfg: Any = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Choose the detections of a one-stage detector, as ``BaseDenseHead`` and ``GFLHead`` do.

    Args:
        self: The head.
        cls_scores: Logits of each level, (N, priors * classes, H, W).
        bbox_preds: Deltas or distributions of each level, (N, priors * channels, H, W).
        score_factors: Logits of centerness of each level, (N, priors, H, W).
        batch_img_metas: ``img_shape`` as a tensor (2,), the same for all images.
        cfg: Test settings; the head's own if None.

    Returns:
        tuple[Tensor, Tensor]: Boxes and scores (N, K, 5), and labels (N, K).
    """
    cfg = self.test_cfg if cfg is None else cfg
    boxes, scores, labels = [], [], []
    for level in _levels(self, cls_scores, bbox_preds, score_factors):
        # The best pairs of prior and class are at the priors with the best classes.
        priors = level.scores.max(-1).values.topk(cfg.nms_pre, dim=1).indices
        pairs = _pick(level.scores, priors)
        classes = pairs.shape[-1]
        chosen = pairs.flatten(1).topk(cfg.nms_pre, dim=1)
        labels.append(chosen.indices % classes)
        priors = priors.gather(1, chosen.indices.div(classes, rounding_mode="floor"))
        boxes.append(_decode(self, level, priors, batch_img_metas[0]["img_shape"]))
        kept = chosen.values.where(chosen.values > cfg.score_thr, torch.zeros(()))
        scores.append(kept if level.factors is None else kept * level.factors.gather(1, priors))
    return suppress(torch.cat(boxes, 1), torch.cat(scores, 1), torch.cat(labels, 1), cfg.nms, cfg)


def choose_class_of_stage(self: Any, stage: int, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
    """Run a stage of a cascade; all but the last give the deltas of the best class alone.

    Takes the place of ``CascadeRoIHead._bbox_forward``: what mmdet's ``_refine_roi`` picks.

    Args:
        self: The cascade.
        stage: Number of the stage.
        *args: Features and regions.
        **kwargs: Further arguments.

    Returns:
        dict[str, Tensor]: ``cls_score`` (R, classes + 1) and ``bbox_pred``, (R, 4) before the last.
    """
    results = type(self)._bbox_forward(self, stage, *args, **kwargs)
    deltas = results["bbox_pred"]
    if stage < self.num_stages - 1 and deltas.shape[1] > 4:
        best = results["cls_score"][:, :-1].argmax(1)
        results["bbox_pred"] = _pick(deltas.unflatten(1, (-1, 4)), best.unsqueeze(1)).squeeze(1)
    return results


def suppress(
    boxes: Tensor, scores: Tensor, ids: Tensor, nms: Any, cfg: Any
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression among the boxes of each id, as mmcv's ``batched_nms``.

    Args:
        boxes: (N, B, 4).
        scores: (N, B); those of 0 take no part.
        ids: Level or class of each box, (N, B).
        nms: Its settings.
        cfg: Test settings with ``max_per_img`` and perhaps ``min_bbox_size``.

    Returns:
        tuple[Tensor, Tensor]: Boxes and scores (N, K, 5), highest scores first, and ids (N, K);
        the last ones of each image, at least where it has fewer than K, are 0 throughout.

    Raises:
        DeployError: ``nms`` is of another kind.
    """
    from mmdeploy.mmcv.ops.nms import ONNXNMSop

    if nms.get("type", "nms") != "nms":
        raise DeployError(f"nms of type {nms.type!r} has no ONNX operator; expected 'nms'")
    smallest = cfg.get("min_bbox_size", -1)
    if smallest >= 0:
        fits = (boxes[..., 2:] - boxes[..., :2] > smallest).all(-1)
        scores = scores.where(fits, torch.zeros(()))
    # Boxes of different ids are moved so far apart that they do not overlap.
    step = boxes.where((scores > 0).unsqueeze(-1), torch.zeros(())).max() + 1
    apart = boxes + (ids.to(boxes.dtype) * step).unsqueeze(-1)
    limits = [torch.tensor([value], dtype=torch.float32) for value in (nms.iou_threshold, 0.0)]
    found = ONNXNMSop.apply(apart, scores.unsqueeze(1), int(cfg.max_per_img), *limits)
    images, rows = found[:, 0], found[:, 2]
    mine = images == torch.arange(scores.shape[0]).unsqueeze(1)
    ranked = scores[images, rows].where(mine, torch.zeros(()))
    # One more, of score 0, since ONNX Runtime has no maximum of nothing.
    ranked = torch.cat([ranked, ranked.new_zeros((ranked.shape[0], 1))], 1)
    rows = torch.cat([rows, rows.new_zeros((1,))])
    best = ranked.topk(int(cfg.max_per_img), dim=1)
    dets = torch.cat([_pick(boxes, rows[best.indices]), best.values.unsqueeze(-1)], -1)
    real = best.values > 0
    return dets * real.unsqueeze(-1), ids.gather(1, rows[best.indices]) * real


class _Level:
    """One level of a head: scores (N, P, classes), deltas (N, P, channels), priors (P, 4)."""

    def __init__(self, scores: Tensor, deltas: Tensor, priors: Tensor, stride: float) -> None:
        self.scores = scores
        self.deltas = deltas
        self.priors = priors
        self.stride = stride
        self.factors: Tensor | None = None


def _levels(
    head: Any,
    cls_scores: Sequence[Tensor],
    bbox_preds: Sequence[Tensor],
    score_factors: Sequence[Tensor] | None,
) -> list[_Level]:
    sizes = [scores.shape[-2:] for scores in cls_scores]
    priors = head.prior_generator.grid_priors(sizes, dtype=cls_scores[0].dtype, device="cpu")
    levels = []
    for index, (logits, deltas) in enumerate(zip(cls_scores, bbox_preds, strict=True)):
        per_prior = deltas.shape[1] // head.num_base_priors
        level = _Level(
            _scores(head, _rows(logits, head.cls_out_channels)),
            _rows(deltas, per_prior),
            priors[index],
            head.prior_generator.strides[index][0],
        )
        if score_factors is not None:
            level.factors = _rows(score_factors[index], 1)[..., 0].sigmoid()
        levels.append(level)
    return levels


def _rows(values: Tensor, channels: int) -> Tensor:
    """(N, priors * channels, H, W) as (N, H * W * priors, channels)."""
    return values.permute(0, 2, 3, 1).reshape(values.shape[0], -1, channels)


def _scores(head: Any, logits: Tensor) -> Tensor:
    return logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]


def _decode(head: Any, level: _Level, rows: Tensor, img_shape: Tensor) -> Tensor:
    priors, deltas = level.priors[rows], _pick(level.deltas, rows)
    if hasattr(head, "integral"):  # GFL learns a distribution of each side's distance.
        flat = head.integral(deltas.flatten(0, 1)) * level.stride
        deltas, priors = flat.view(*rows.shape, 4), _centers(priors)
    return head.bbox_coder.decode(priors, deltas, max_shape=img_shape)


def _centers(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _pick(values: Tensor, rows: Tensor) -> Tensor:
    """Rows (N, K) of values (N, B, C), as (N, K, C)."""
    return values.gather(1, rows.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
