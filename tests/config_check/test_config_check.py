"""Configs that are well formed and cannot be meant, and those that can."""

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmvan.config_check import check_config, find_problems
from mmvan.errors import ConfigError
from tests.configs.zoo import CONFIGS, LEAVES, load

DETECTOR = CONFIGS / "detection" / "van_t_maskrcnn_sample.py"
CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"
SEGMENTOR = CONFIGS / "segmentation" / "van_t_fpn_sample.py"
ALL = ("train", "val", "test")


def problems(path: Path, changes: dict[str, Any]) -> list[str]:
    cfg = load(path)
    for key, value in changes.items():
        _set(cfg, key, value)
    return list(find_problems(cfg, ALL))


def _set(cfg: Any, key: str, value: Any) -> None:
    *parts, last = key.split(".")
    for part in parts:
        cfg = cfg[int(part)] if part.isdigit() else cfg[part]
    cfg[last] = value


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
def test_our_configs_have_none(path: Path) -> None:
    assert list(find_problems(load(path), ALL)) == []


@pytest.mark.parametrize(
    ("path", "key", "value", "message"),
    (
        (CLASSIFIER, "model.head.num_classes", 3, "model.head.topk|topk is .*expected at most 3"),
        (CLASSIFIER, "val_evaluator.topk", (1, 50), r"val_evaluator.topk is \(1, 50\).*at most 10"),
        (
            DETECTOR,
            "train_dataloader.dataset.metainfo",
            {"classes": ("thing")},
            r"metainfo.classes is the text 'thing'.*write \('thing',\), with a comma",
        ),
        (
            DETECTOR,
            "train_dataloader.dataset.metainfo",
            {"classes": ("a", "a")},
            "metainfo.classes has 'a' more than once",
        ),
        (
            DETECTOR,
            "model.backbone.init_cfg.checkpoint",
            None,
            "model.backbone.init_cfg.checkpoint is None; expected a path",
        ),
        (DETECTOR, "model.neck.in_channels", [256, 512, 1024, 2048], r"gives \[32, 64, 160, 256\]"),
        (CLASSIFIER, "model.head.in_channels", 768, "in_channels is 768.*gives 256"),
        (
            SEGMENTOR,
            "optim_wrapper.optimizer.lr",
            "high",
            "lr is 'high'; expected a number",
        ),
        (
            DETECTOR,
            "optim_wrapper.optimizer.lr",
            None,
            "optim_wrapper.optimizer.lr is None; expected a number from 0",
        ),
        (
            SEGMENTOR,
            "optim_wrapper.paramwise_cfg",
            {"norm_decay_mult": "a lot"},
            "optim_wrapper.paramwise_cfg.norm_decay_mult is 'a lot'; expected a number from 0",
        ),
        (
            DETECTOR,
            "train_dataloader.dataset.pipeline.1.with_mask",
            False,
            r"pipeline\[1\].with_mask is False, but model.roi_head.mask_head learns from masks",
        ),
        (
            CLASSIFIER,
            "optim_wrapper.optimizer",
            {"type": "AdamW", "lr": 1e-3},
            r"no weight_decay, which paramwise_cfg multiplies by \w*decay_mult; it has type, lr",
        ),
        (SEGMENTOR, "model.nek", {}, "model.nek: .* has no such argument. Did you mean neck"),
        (
            CLASSIFIER,
            "optim_wrapper",
            {
                "optimizer": {"type": "AdamW"},
                "paramwise_cfg": {"custom_keys": {"norm": {"decay_mult": 0.0}}},
            },
            "has no lr, which paramwise_cfg multiplies by custom_keys",
        ),
        (
            DETECTOR,
            "val_dataloader.dataset.pipeline.3.meta_keys",
            "img_shape",
            "meta_keys is 'img_shape'; expected a list of names",
        ),
        (
            SEGMENTOR,
            "val_evaluator.iou_metrics",
            None,
            "val_evaluator.iou_metrics has None; expected some of mIoU",
        ),
        (
            DETECTOR,
            "model.train_cfg.rcnn",
            3,
            "model.train_cfg.rcnn is 3; expected a dict or a list of them",
        ),
        (
            SEGMENTOR,
            "optim_wrapper.paramwise_cfg",
            {"custom_keys": {"norm": "dict"}},
            r"optim_wrapper.paramwise_cfg.custom_keys.norm is 'dict'; expected a dict",
        ),
        (
            SEGMENTOR,
            "train_dataloader.batch_size",
            0,
            "batch_size is 0; expected an integer",
        ),
        (
            CLASSIFIER,
            "model.data_preprocessor.std",
            [1.0, 0.0, 1.0],
            "std is .*expected numbers above 0",
        ),
        (DETECTOR, "model.roi_head.mask_head.num_convs", 10**12, "expected at most 10000"),
        (CLASSIFIER, "val_dataloader.dataset.pipeline.1.scale", 10**12, "expected at most 1048576"),
        (CLASSIFIER, "val_dataloader.dataset.pipeline.2.crop_size", 10**12, "at most 1048576"),
        (
            SEGMENTOR,
            "val_dataloader.dataset.pipeline.2.size_divisor",
            -0.5,
            "size_divisor is -0.5; expected an integer from 0",
        ),
        (SEGMENTOR, "param_scheduler.1.by_epoch", True, "it would never change anything"),
        (SEGMENTOR, "default_hooks.checkpoint.by_epoch", True, "no checkpoint would be saved"),
        (
            CLASSIFIER,
            "train_dataloader.sampler",
            {"type": "InfiniteSampler"},
            "the first epoch would not end",
        ),
        (SEGMENTOR, "param_scheduler.1.end", 3, "end is 3; expected more than begin=40"),
        (CLASSIFIER, "val_dataloader.drop_last", True, "the last images would not be evaluated"),
        (SEGMENTOR, "val_evaluator.iou_metrics", ["mIuO"], "iou_metrics has 'mIuO'; expected some"),
        (
            CLASSIFIER,
            "default_hooks.checkpoint.save_best",
            "accuracy/top_1",
            "val_evaluator does not give. Did you mean accuracy/top1",
        ),
        (SEGMENTOR, "model.test_cfg", {"mode": "slid"}, "mode is 'slid'; expected 'whole' or"),
        (SEGMENTOR, "model.test_cfg", {"mode": "slide"}, "expected two numbers of pixels each"),
        (
            DETECTOR,
            "model.test_cfg.rcnn",
            {"score_thr": 0.05},
            "rcnn has no nms and no max_per",
        ),
        (
            DETECTOR,
            "train_dataloder",
            {},
            "train_dataloder is read by nothing. Did you mean",
        ),
        (DETECTOR, "optim_wrapper.clip_grad", {"max_nrm": 1}, "Did you mean max_norm"),
        (DETECTOR, "env_cfg.cudnn_bench", True, "env_cfg.cudnn_bench is read by nothing"),
        (
            DETECTOR,
            "train_dataloader.sampler.type",
            "DefultSampler",
            "unknown. Did you mean Def",
        ),
        (DETECTOR, "default_hooks.logger.intervall", 3, "LoggerHook has no such argument. Did you"),
        (DETECTOR, "default_hooks.checkpoint.max_keep", 3, "CheckpointHook has no such argument"),
        (
            DETECTOR,
            "custom_hooks",
            {"type": "EMAHook"},
            "custom_hooks is .*expected a list",
        ),
        (
            SEGMENTOR,
            "model.decode_head.norm_cfg.type",
            "SynBN",
            "SynBN' is unknown. Did you mean",
        ),
        (SEGMENTOR, "train_dataloader.dataset", None, "train_dataloader has no dataset; it has"),
    ),
)
def test_what_cannot_be_meant_is_named(path: Path, key: str, value: Any, message: str) -> None:
    assert re.search(message, "\n".join(problems(path, {key: value})))


def test_all_are_listed_at_once() -> None:
    cfg = load(DETECTOR)
    cfg.train_dataloader.batch_size = 0
    cfg.model.neck.in_channels = [1, 2]
    listed = r"(?s)sample.py: 2 problems:\n1\. train_dataloader.batch_size is 0.*\n2\. model.neck"
    with pytest.raises(ConfigError, match=listed):
        check_config(cfg, ALL)


def test_what_is_not_used_may_hold_anything() -> None:
    cfg = load(DETECTOR)
    cfg.train_dataloader = cfg.optim_wrapper = "nothing"
    check_config(cfg, ("test",))


def test_other_backbones_and_types_given_as_classes() -> None:
    from mmengine.hooks import LoggerHook

    cfg = Config.fromfile(CLASSIFIER)
    cfg.model.backbone = {"type": "ResNet", "depth": 18}
    cfg.model.head.in_channels = 512
    cfg.default_hooks.logger = {"type": LoggerHook, "intervals": 1}
    (problem,) = find_problems(cfg, ALL)
    assert problem.startswith("default_hooks.logger.intervals: LoggerHook has no such argument")
