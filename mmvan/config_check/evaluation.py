"""What would be found out in the first evaluation only: metrics, and how predictions are made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmvan.config_check.nodes import Node
from mmvan.config_check.parts import is_known, parts_of
from mmvan.errors import did_you_mean
from mmvan.type_name import type_name

_SIZES = ("", "_50", "_75", "_s", "_m", "_l")
# mmsegmentation's IoUMetric: what each of iou_metrics gives.
_IOU = {
    "mIoU": ("aAcc", "mIoU", "mAcc"),
    "mDice": ("aAcc", "mDice", "mAcc"),
    "mFscore": ("aAcc", "mFscore", "mPrecision", "mRecall"),
}
_ROI_HEADS = ("StandardRoIHead", "CascadeRoIHead")
_SEGMENTORS = ("EncoderDecoder", "CascadeEncoderDecoder")
# What predictions of mmdet's two-stage detectors read from test_cfg, without a default.
_TWO_STAGES = {"rpn": ("nms", "max_per_img"), "rcnn": ("score_thr", "nms", "max_per_img")}


def evaluation_problems(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    """Finds metrics and settings of predictions that cannot work.

    Args:
        cfg: The whole config.
        loaders: Whose evaluators will be used: of ``val`` and ``test``.

    Yields:
        One message for each.
    """
    yield from _top_k_problems(cfg, loaders)
    for loader in loaders:
        for node in metrics_of(cfg, loader):
            if is_known(node.settings["type"], cfg.default_scope):
                yield from _metric_problems(node, cfg.model)
    if "val" in loaders:
        yield from _monitor_problems(cfg)
    yield from _test_problems(cfg.model)


def metrics_of(cfg: Config, loader: str) -> list[Node]:
    """The settings of all metrics of an evaluator.

    Args:
        cfg: The whole config.
        loader: ``val`` or ``test``.
    """
    key = f"{loader}_evaluator"
    scope = cfg.default_scope
    return [
        Node(part.key, part.settings)
        for part in parts_of(key, cfg.get(key), scope)
        if "type" in part.settings
    ]


def _top_k_problems(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    head = cfg.model.get("head")
    classes = head.get("num_classes") if isinstance(head, Mapping) else None
    if not isinstance(classes, int):
        return
    metrics = [node for loader in loaders for node in metrics_of(cfg, loader)]
    # Heads keep the default of five where they do not calculate the accuracy.
    heads = [Node("model.head", head)] if head.get("cal_acc") else []
    metrics = [node for node in metrics if type_name(node.settings) == "Accuracy"]
    for node in [*heads, *metrics]:
        top = node.settings.get("topk")
        numbers = top if isinstance(top, (list, tuple)) else [top]
        if any(isinstance(number, int) and number > classes for number in numbers):
            yield (
                f"{node.key}.topk is {top}; expected at most {classes}, the number of classes of "
                f"model.head, such as topk=({', '.join(str(k) for k in (1, 5) if k <= classes)},)"
            )


def _metric_problems(node: Node, model: Any) -> Iterator[str]:
    if type_name(node.settings) == "CocoMetric":
        metric = node.settings.get("metric", "bbox")
        if not metric:
            yield f"{node.key}.metric is {metric!r}; expected 'bbox', 'segm' or a list of them"
        elif "segm" in metric and _has_no_masks(model.get("roi_head")):
            yield f"{node.key}.metric has 'segm', but model.roi_head has no mask_head"
    if type_name(node.settings) == "IoUMetric":
        names = node.settings.get("iou_metrics", ["mIoU"])
        names = [names] if isinstance(names, str) else names
        for name in names if isinstance(names, (list, tuple)) else [names]:
            if not isinstance(name, str) or name not in _IOU:
                yield f"{node.key}.iou_metrics has {name!r}; expected some of {', '.join(_IOU)}"


def _has_no_masks(roi_head: Any) -> bool:
    known = isinstance(roi_head, Mapping) and type_name(roi_head) in _ROI_HEADS
    return known and not roi_head.get("mask_head")


def _monitor_problems(cfg: Config) -> Iterator[str]:
    """Compares the names of scores that hooks wait for with those that there will be."""
    nodes = metrics_of(cfg, "val")
    known_kinds = all(is_known(node.settings["type"], cfg.default_scope) for node in nodes)
    # Other loops give their scores names of their own, as those for a teacher and a student do.
    if not known_kinds or type_name((cfg.get("val_cfg") or {}).get("type", "ValLoop")) != "ValLoop":
        return
    names = [_scores(node.settings) for node in nodes]
    if not names or not all(names):
        return
    known = [name for part in names for name in part or ()]
    for node in (
        part
        for key in ("default_hooks", "custom_hooks")
        for part in parts_of(key, cfg.get(key), cfg.default_scope)
        if not part.foreign
    ):
        for option in ("save_best", "monitor"):
            wanted = node.settings.get(option)
            for name in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
                if isinstance(name, str) and name not in ("auto", *known):
                    yield (
                        f"{node.key}.{option} is {name!r}, which val_evaluator does not give."
                        f"{did_you_mean(name, known)} It gives {', '.join(known)}"
                    )


def _scores(metric: Mapping[str, Any]) -> list[str] | None:
    """The names of a metric's scores; None if they are not known here."""
    kind = type_name(metric)
    prefix = metric.get("prefix")
    if kind == "Accuracy" and not metric.get("thrs"):
        top = metric.get("topk", 1)
        numbers = top if isinstance(top, (list, tuple)) else [top]
        return [f"{prefix or 'accuracy'}/top{number}" for number in numbers]
    if kind == "CocoMetric":
        kinds = metric.get("metric", "bbox")
        kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
        if metric.get("metric_items") or metric.get("classwise"):
            return None
        if {"bbox", "segm"}.issuperset(map(str, kinds)):
            return [f"{prefix or 'coco'}/{name}_mAP{size}" for name in kinds for size in _SIZES]
    if kind == "IoUMetric" and prefix is None:
        kinds = metric.get("iou_metrics", ["mIoU"])
        kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
        return [name for kind in kinds for name in _IOU.get(str(kind), ())]
    return None


def _test_problems(model: Any) -> Iterator[str]:
    settings = model.get("test_cfg") if isinstance(model, Mapping) else None
    if not isinstance(settings, Mapping):
        return
    if type_name(model) in _SEGMENTORS and "mode" in settings:
        yield from _window_problems(settings)
    if type_name(model.get("rpn_head") or "") == "RPNHead" and (
        type_name(model.get("roi_head") or "") in _ROI_HEADS
    ):
        for part, names in _TWO_STAGES.items():
            given = settings.get(part)
            known = given if isinstance(given, Mapping) else {}
            missing = [name for name in names if name not in known]
            if missing and part in settings:
                lacks = " and no ".join(missing)
                yield f"model.test_cfg.{part} has no {lacks}, which predictions read"


def _window_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    mode = settings["mode"]
    if mode not in ("whole", "slide"):
        yield f"model.test_cfg.mode is {mode!r}; expected 'whole' or 'slide'"
    sizes = [settings.get(name) for name in ("crop_size", "stride")]
    if mode == "slide" and not all(_is_size(size) for size in sizes):
        yield (
            f"model.test_cfg: mode 'slide' has crop_size={sizes[0]!r}, stride={sizes[1]!r}; "
            "expected two numbers of pixels each, such as crop_size=(512, 512), stride=(341, 341)"
        )


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(n, int) and n > 0 for n in value)
    )
