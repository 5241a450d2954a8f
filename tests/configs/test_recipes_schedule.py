"""The learning rate of every step against the published schedule."""

from collections.abc import Callable, Iterator
from pathlib import Path

import mmdet
import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from timm.scheduler import create_scheduler_v2
from torch import nn

from tests.configs.published import METHODS_1X, METHODS_3X, PANOPTIC, RECIPE, configs_of
from tests.configs.zoo import find, load

# Any epoch longer than the warm-up leads to the same rates per epoch.
DETECTION_EPOCH = 1100
# MMEngine multiplies warm-up and cosine, timm does not.
WARM_UP_TOLERANCE = 5e-4


def learning_rates(cfg: Config, epoch_length: int, steps: int) -> Iterator[float]:
    """The rate of every step, as MMEngine's schedulers set it."""
    init_default_scope(cfg.default_scope)
    optimizer = one_parameter(cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build({**scheduler, "optimizer": optimizer})
        for scheduler in cfg.param_scheduler
    ]
    for step in range(1, steps + 1):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or step % epoch_length == 0:
                scheduler.step()


def one_parameter(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=lr)


def timm_rates() -> Iterator[float]:
    recipe = RECIPE["in1k"]
    schedule = recipe["schedule"]
    optimizer = one_parameter(recipe["optimizer"]["lr"])
    scheduler, epochs = create_scheduler_v2(
        optimizer,
        sched=schedule["type"],
        num_epochs=schedule["epochs"],
        cooldown_epochs=schedule["cooldown_epochs"],
        warmup_epochs=schedule["warmup_epochs"],
        warmup_lr=schedule["warmup_lr"],
        min_lr=schedule["min_lr"],
    )
    for epoch in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        scheduler.step(epoch + 1)


def polynomial(method: str) -> Callable[[int], float]:
    """The rate of an iteration, from 0, in mmcv 1.x (``PolyLrUpdaterHook`` and its warm-up)."""
    recipe = RECIPE[method]
    schedule, base, length = recipe["schedule"], recipe["optimizer"]["lr"], recipe["iterations"]
    assert schedule["type"] == "poly"
    assert schedule.get("warmup", "linear") == "linear"
    warmup = schedule.get("warmup_iters", 0)

    def rate(step: int) -> float:
        decay = (1 - step / length) ** schedule["power"]
        regular = (base - schedule["min_lr"]) * decay + schedule["min_lr"]
        if step >= warmup:
            return regular
        return regular * (1 - (1 - step / warmup) * (1 - schedule["warmup_ratio"]))

    return rate


def test_classification_follows_timm_in_every_epoch() -> None:
    schedule = RECIPE["in1k"]["schedule"]
    expected = list(timm_rates())
    cfg = load(find("in1k", "b"))
    rates = list(learning_rates(cfg, epoch_length=1, steps=cfg.train_cfg.max_epochs))
    assert len(rates) == len(expected) == schedule["epochs"] + schedule["cooldown_epochs"] == 310
    warmup = schedule["warmup_epochs"]
    assert rates[:warmup] == pytest.approx(expected[:warmup], rel=WARM_UP_TOLERANCE)
    assert rates[warmup:] == pytest.approx(expected[warmup:], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "steps"), (("fpn", 40_000), ("upernet", 160_000)))
def test_segmentation_follows_the_polynomial_in_every_iteration(method: str, steps: int) -> None:
    cfg = load(find(method, "b"))
    assert cfg.train_cfg.max_iters == RECIPE[method]["iterations"] == steps
    rate = polynomial(method)
    rates = learning_rates(cfg, epoch_length=1, steps=steps)
    worst = max(abs(found / rate(step) - 1) for step, found in enumerate(rates))
    assert worst < 1e-9


@pytest.mark.parametrize(
    ("method", "name", "epochs"),
    (
        *((method, "schedule_1x", 12) for method in METHODS_1X),
        *((method, "schedule_3x", 36) for method in METHODS_3X),
    ),
)
def test_detection_follows_its_schedule_in_every_iteration(
    method: str, name: str, epochs: int
) -> None:
    """mmdet 2.x: ten times less after each milestone, linear warm-up from a thousandth."""
    schedule, base = RECIPE[method][name], RECIPE[method]["optimizer"]["lr"]
    warmup = schedule["warmup_iters"]
    assert warmup < DETECTION_EPOCH
    cfg = load(find(method, "b"))
    assert cfg.train_cfg.max_epochs == schedule["epochs"] == epochs
    steps = cfg.train_cfg.max_epochs * DETECTION_EPOCH
    for step, found in enumerate(learning_rates(cfg, DETECTION_EPOCH, steps)):
        passed = sum(step // DETECTION_EPOCH >= milestone for milestone in schedule["milestones"])
        expected = base * 0.1**passed
        if step < warmup:
            expected *= 1 - (1 - step / warmup) * (1 - 1e-3)
        assert found == pytest.approx(expected, rel=1e-9), step


@pytest.mark.parametrize("method", [m for m in RECIPE if m not in ("in22k_in1k", "cub200")])
def test_every_size_has_the_schedule_of_its_recipe(method: str) -> None:
    reference = load(find(method, "b"))
    others = [load(path) for path in configs_of(method)]
    assert others
    for cfg in others:
        for key in ("param_scheduler", "train_cfg", "optim_wrapper", "auto_scale_lr"):
            assert cfg[key] == reference[key], (cfg.filename, key)


def test_semantic_mask2former_has_mmsegs_schedule_and_rates() -> None:
    name = "mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py"
    theirs = Config.fromfile(Path(mmseg.__file__).parent / ".mim" / "configs" / name)
    ours = load(find("mask2former", "b"))
    assert ours.param_scheduler == theirs.param_scheduler
    assert ours.train_cfg.max_iters == theirs.train_cfg.max_iters
    for key in ("type", "clip_grad"):
        assert ours.optim_wrapper[key] == theirs.optim_wrapper[key]
    assert ours.optim_wrapper.optimizer == {**theirs.optim_wrapper.optimizer, "fused": True}
    assert ours.optim_wrapper == load(find(PANOPTIC, "b")).optim_wrapper


def test_mask2former_has_mmdets_schedule_and_rates() -> None:
    name = "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py"
    theirs = Config.fromfile(Path(mmdet.__file__).parent / ".mim" / "configs" / name)
    ours = load(find(PANOPTIC, "b"))
    assert ours.param_scheduler == [theirs.param_scheduler]
    assert ours.train_cfg == {**theirs.train_cfg, "type": "mmvan.IterBasedTrainLoop"}
    for key in ("type", "clip_grad"):
        assert ours.optim_wrapper[key] == theirs.optim_wrapper[key]
    assert ours.optim_wrapper.optimizer == {**theirs.optim_wrapper.optimizer, "fused": True}
    keys = theirs.optim_wrapper.paramwise_cfg.custom_keys
    own = ours.optim_wrapper.paramwise_cfg.custom_keys
    assert len(keys) == 4
    assert {key: own[key] for key in keys} == keys
