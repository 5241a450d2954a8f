"""Configs that train, however unusual, are not refused."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, LOOPS, METRICS
from mmengine.runner import IterBasedTrainLoop

from mmvan.config_check import find_problems
from tests.configs.zoo import CONFIGS, load

DETECTOR = CONFIGS / "detection" / "van_t_maskrcnn_sample.py"
CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"
SEGMENTOR = CONFIGS / "segmentation" / "van_t_fpn_sample.py"
ALL = ("train", "val", "test")


class KeepingHook(Hook):
    def __init__(self, **options: Any) -> None:
        self.options = options


class NoiseHook(Hook):
    def __init__(self, noise: Any, interval: float, monitor: str) -> None:
        self.settings = (noise, interval, monitor)

    def get(self, one: int, other: int) -> int:
        return one + other


class OwnMetric(BaseMetric):
    def __init__(self, metric: Any, topk: int, **options: Any) -> None:
        super().__init__(**options)
        self.metric, self.topk = metric, topk

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"own": float(len(results))}


class OwnLoop(IterBasedTrainLoop):
    """Counts iterations, which its name does not tell."""


OWN = {HOOKS: KeepingHook, METRICS: OwnMetric, LOOPS: OwnLoop}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    for registry, kind in OWN.items():
        registry.register_module(module=kind, force=True)
    yield
    for registry, kind in OWN.items():
        del registry._module_dict[kind.__name__]


def function(sample: Any) -> Any:
    return sample


def imagenet() -> tuple[str, ...]:
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

    return IMAGENET_CATEGORIES


def _set(**values: Any) -> Callable[[Config], None]:
    def change(cfg: Config) -> None:
        cfg.merge_from_dict({key.replace("__", "."): value for key, value in values.items()})

    return change


def _replace(key: str, value: Any) -> Callable[[Config], None]:
    def change(cfg: Config) -> None:
        *parents, last = key.split(".")
        node: Any = cfg
        for parent in parents:
            node = node[parent]
        node[last] = value

    return change


def _few_classes(cfg: Config) -> None:
    cfg.model.head.update(num_classes=3, topk=(1, 5))
    cfg.val_evaluator.topk = cfg.test_evaluator.topk = (1,)


def _own_loop(cfg: Config) -> None:
    cfg.train_cfg = {"type": "OwnLoop", "max_iters": 4}
    cfg.train_dataloader.sampler = {"type": "InfiniteSampler"}


def _per_class(cfg: Config) -> None:
    cfg.val_evaluator.classwise = True
    cfg.default_hooks.checkpoint.save_best = "coco/person_precision"


def _teacher(cfg: Config) -> None:
    cfg.val_cfg = {"type": "TeacherStudentValLoop"}
    cfg.default_hooks.checkpoint.save_best = "teacher/coco/bbox_mAP"


NOISE = {"type": NoiseHook, "noise": {"type": "gauss", "lr": "x"}, "interval": 0.5, "monitor": "a"}
OTHER_SCOPE = {
    "type": "CustomDataset",
    "_scope_": "mmpretrain",
    "data_root": "x",
    "pipeline": [{"type": "ResizeEdge", "scale": 3}, {"type": "PackInputs"}],
}
SEVERAL = {"constructor": "Own", "one": {"optimizer": {"type": "SGD", "lr": 0.1}}}
BY_EPOCH = {"type": "CosineAnnealingLR", "T_max": 2, "by_epoch": True}
CHANGES: dict[str, tuple[Path, Callable[[Config], None]]] = {
    "hook_that_keeps_options": (
        DETECTOR,
        _replace("custom_hooks", [{"type": "KeepingHook", "x": 1}]),
    ),
    "settings_of_an_own_class": (DETECTOR, _replace("custom_hooks", [NOISE])),
    "own_metric": (
        CLASSIFIER,
        _replace("val_evaluator", [{"type": "OwnMetric", "metric": {"type": "a"}, "topk": -1}]),
    ),
    "topk_of_another_metric": (
        CLASSIFIER,
        _replace("val_evaluator", [{"type": "RetrievalRecall", "topk": (1, 50)}]),
    ),
    "topk_that_is_not_used": (CLASSIFIER, _few_classes),
    "two_cranes": (
        CLASSIFIER,
        lambda cfg: _replace("train_dataloader.dataset.metainfo", {"classes": imagenet()})(cfg),
    ),
    "clipping_by_norm": (
        DETECTOR,
        _replace("optim_wrapper.clip_grad", {"type": "norm", "max_norm": 1}),
    ),
    "several_optimizers": (DETECTOR, _replace("optim_wrapper", SEVERAL)),
    "no_rate": (
        DETECTOR,
        _replace("optim_wrapper.optimizer", {"type": "Adafactor", "lr": None, "weight_decay": 0.0}),
    ),
    "no_sampler": (DETECTOR, _replace("train_dataloader.sampler", None)),
    "epochs_to_iterations": (
        SEGMENTOR,
        _replace("param_scheduler", [{**BY_EPOCH, "convert_to_iter_based": True}]),
    ),
    "plateau": (
        SEGMENTOR,
        _replace("param_scheduler", [{"type": "ReduceOnPlateauLR", "monitor": "mIoU"}]),
    ),
    "last_checkpoint_only": (
        SEGMENTOR,
        _replace("default_hooks.checkpoint", {"type": "CheckpointHook"}),
    ),
    "own_loop": (SEGMENTOR, _own_loop),
    "scores_of_classes": (DETECTOR, _per_class),
    "scores_of_teacher": (DETECTOR, _teacher),
    "variables": (DETECTOR, _set(mode="train", model2={}, train_cfg2={}, work_dirs="x")),
    "function_in_pipeline": (
        DETECTOR,
        lambda cfg: cfg.train_dataloader.dataset.pipeline.append(function),
    ),
    "more_colours": (
        DETECTOR,
        _replace(
            "train_dataloader.dataset.metainfo",
            {"classes": ("a",), "palette": [(1, 2, 3), (4, 5, 6)]},
        ),
    ),
    "classes_elsewhere": (
        DETECTOR,
        _replace("train_dataloader.dataset.metainfo", {"classes": "s3://bucket/classes.txt"}),
    ),
    "other_scope": (DETECTOR, _replace("train_dataloader.dataset", OTHER_SCOPE)),
    "neck_that_turns_round": (
        DETECTOR,
        _replace("model.neck", {"type": "YOLOV3Neck", "in_channels": [256, 160, 64]}),
    ),
    "no_roi_head": (DETECTOR, _replace("model.roi_head", None)),
    "unread": (DETECTOR, _replace("env_cfg.zebra", 1)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_is_found(name: str) -> None:
    path, change = CHANGES[name]
    cfg = deepcopy(load(path))
    change(cfg)
    assert list(find_problems(cfg, ALL)) == []


def test_loaders_that_are_not_used_are_not_looked_at() -> None:
    cfg = load(DETECTOR)
    cfg.test_dataloader.drop_last = True
    assert list(find_problems(cfg, ("train", "val"))) == []


@pytest.mark.parametrize(
    ("path", "key", "value"),
    (
        (DETECTOR, "model.rpn_head.anchor_generator.type", ""),
        (DETECTOR, "param_scheduler", {1: 2}),
        (DETECTOR, "model.roi_head", None),
        (SEGMENTOR, "default_hooks.checkpoint", {"type": "CheckpointHook", "interval": "x"}),
        (SEGMENTOR, "val_evaluator.iou_metrics", [{}]),
        (SEGMENTOR, "custom_hooks", [{"type": [1]}]),
    ),
)
def test_nothing_ends_the_check_itself(path: Path, key: str, value: Any) -> None:
    cfg = deepcopy(load(path))
    _replace(key, value)(cfg)
    assert isinstance(list(find_problems(cfg, ALL)), list)
