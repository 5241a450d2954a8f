"""The settings of every config against what was published (the authors' scripts and paper)."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, TRANSFORMS, init_default_scope
from torch import nn

from mmvan import VAN
from mmvan.arch import ARCHS
from tests.configs.zoo import (
    ARCH_OF_SIZE,
    LEAVES,
    REFERENCE,
    SAMPLE,
    find,
    load,
    method_and_size,
)

# Drop path per size, in the order of ARCH_OF_SIZE; None where there is no config.
DROP_PATH = {
    "in1k": (0.1, 0.1, 0.1, 0.2, 0.4, 0.4, 0.5),
    "maskrcnn": (0.1, 0.1, 0.3, 0.3, None, None, None),
    "fpn": (0.1, 0.1, 0.2, 0.3, 0.4, None, None),
    "upernet": (0.1, 0.1, 0.1, 0.3, 0.4, 0.4, 0.5),
}
# File names of the weights that training starts from.
WEIGHTS = {
    "b0": "van_tiny_754.pth.tar",
    "b1": "van_small_811.pth.tar",
    "b2": "van_base_828.pth.tar",
    "b3": "van_large_839.pth.tar",
    "b4": "van-b4_3rdparty_20230522-1d71c077.pth",
    "b5": "van-b5-in22k_3rdparty_20230522-b26134d7.pth",
    "b6": "van-b6-in22k_3rdparty_20230522-5e5172a3.pth",
}
IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
AUTHORS = ([127.5] * 3, [127.5] * 3)
# lr, weight decay, total batch, images per GPU, length in epochs or iterations.
RECIPES = {
    "in1k": (1e-3, 0.05, 1024, 128, 310),
    "maskrcnn": (1e-4, 0.05, 16, 2, 12),
    "fpn": (2e-4, 1e-4, 32, 4, 40000),
    "upernet": (6e-5, 0.01, 16, 2, 160000),
}


@pytest.mark.smoke
def test_every_config_is_here_and_counted() -> None:
    expected = {
        (method, size)
        for method, rates in DROP_PATH.items()
        for size, rate in zip(ARCH_OF_SIZE, rates, strict=True)
        if rate is not None
    }
    assert {method_and_size(path) for path in REFERENCE} == expected
    assert (len(REFERENCE), len(SAMPLE), len(LEAVES)) == (23, 3, 26)


@pytest.mark.smoke
@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_settings_are_the_published_ones(path: Path) -> None:
    cfg = load(path)
    method, size = method_and_size(path)
    arch = ARCH_OF_SIZE[size]
    backbone = cfg.model.backbone
    assert backbone.type == "mmvan.VAN"
    assert backbone.arch == arch
    assert backbone.drop_path_rate == DROP_PATH[method][list(ARCH_OF_SIZE).index(size)]
    lr, weight_decay, batch, per_gpu, length = RECIPES[method]
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ("AdamW", lr, weight_decay)
    assert (cfg.auto_scale_lr.base_batch_size, cfg.train_dataloader.batch_size) == (batch, per_gpu)
    assert cfg.train_cfg.get("max_epochs", cfg.train_cfg.get("max_iters")) == length
    statistics = cfg.model.data_preprocessor.mean, cfg.model.data_preprocessor.std
    assert statistics == (AUTHORS if method == "in1k" else IMAGENET)
    if method == "in1k":
        assert "init_cfg" not in backbone
    else:
        assert Path(backbone.init_cfg.checkpoint).name == WEIGHTS[arch]
    eps = backbone.get("out_norm_cfg", {}).get("eps", 1e-6)
    assert eps == (1e-5 if method in ("fpn", "upernet") else 1e-6)


@pytest.mark.parametrize(
    "path", [p for p in REFERENCE if p.stem.startswith("van_b_")], ids=lambda path: path.stem
)
def test_a_reference_config_begins_with_its_launch_line(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == f"# tools/dist_train.sh configs/{path.parent.name}/{path.name} 8"
    assert "8 GPUs" in lines[1]
    assert "Expected:" in "\n".join(lines[:5])


def learning_rates(cfg: Config, epoch_length: int, steps: int) -> list[float]:
    """The rate of every iteration, as MMEngine's schedulers set it."""
    init_default_scope(cfg.default_scope)
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(
            {**scheduler, "optimizer": optimizer, "epoch_length": epoch_length},
        )
        if scheduler.get("convert_to_iter_based")
        else PARAM_SCHEDULERS.build({**scheduler, "optimizer": optimizer})
        for scheduler in cfg.param_scheduler
    ]
    rates = []
    for step in range(1, steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or step % epoch_length == 0:
                scheduler.step()
    return rates


def test_classification_follows_timms_schedule() -> None:
    """timm 0.4.12's CosineLRScheduler, stepped once an epoch: warm-up 5, 300, cool-down 10."""
    rates = learning_rates(load(find("in1k", "b")), epoch_length=1, steps=310)
    for epoch, rate in enumerate(rates):
        if epoch < 5:
            expected = 1e-6 + epoch * (1e-3 - 1e-6) / 5
        elif epoch < 300:
            expected = 1e-6 + 0.5 * (1e-3 - 1e-6) * (1 + math.cos(math.pi * epoch / 300))
        else:
            expected = 1e-6
        assert rate == pytest.approx(expected, rel=5e-4, abs=2e-9), epoch


def test_detection_follows_the_1x_schedule() -> None:
    rates = learning_rates(load(find("maskrcnn", "b")), epoch_length=100, steps=1200)
    assert rates[0] == pytest.approx(1e-7)
    assert rates[499] == pytest.approx(1e-4)
    assert rates[799] == pytest.approx(1e-4)
    assert rates[800] == pytest.approx(1e-5)
    assert rates[1099] == pytest.approx(1e-5)
    assert rates[1199] == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("method", "length", "power", "warmup"), (("fpn", 40000, 0.9, 0), ("upernet", 160000, 1, 1500))
)
def test_segmentation_follows_the_polynomial_schedules(
    method: str, length: int, power: float, warmup: int
) -> None:
    cfg = load(find(method, "b"))
    base = cfg.optim_wrapper.optimizer.lr
    rates = learning_rates(cfg, epoch_length=1, steps=length)
    assert rates[warmup] == pytest.approx(base, rel=1e-3)
    for step in (length // 4, length // 2, length - 1000):
        expected = base * (1 - (step - warmup) / (length - warmup)) ** power
        assert rates[step] == pytest.approx(expected, rel=1e-3)
    if warmup:
        assert rates[0] == pytest.approx(base * 1e-6)
        assert rates[warmup // 2] == pytest.approx(base / 2, rel=1e-2)


@pytest.mark.parametrize(
    ("method", "undecayed"),
    (
        ("in1k", lambda name, p: p.ndim == 1),
        ("maskrcnn", lambda name, p: "norm" in name),
        ("fpn", lambda name, p: False),
        ("upernet", lambda name, p: "norm" in name),
    ),
)
def test_weight_decay_spares_what_the_recipe_says(method: str, undecayed: Any) -> None:
    cfg = load(find(method, "t"))
    model = nn.Module()
    model.backbone = VAN("b0")
    model.head = nn.Linear(256, 10)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decay = {
        id(p): group["weight_decay"] for group in wrapper.param_groups for p in group["params"]
    }
    spared = {name for name, p in model.named_parameters() if decay[id(p)] == 0}
    expected = {name for name, p in model.named_parameters() if undecayed(name, p)}
    assert spared == expected
    assert len(expected) == {"in1k": 203, "maskrcnn": 68, "fpn": 0, "upernet": 68}[method]


def test_classification_evaluates_at_crop_ratio_0_9_with_bicubic() -> None:
    pipeline = load(find("in1k", "b")).val_dataloader.dataset.pipeline
    resize, crop = pipeline[1], pipeline[2]
    assert (resize.scale, resize.edge, resize.interpolation) == (248, "short", "bicubic")
    assert (crop.crop_size, int(224 / 0.9)) == (224, 248)


@pytest.mark.smoke
@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
def test_every_config_builds(path: Path) -> None:
    cfg = load(path)
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert isinstance(model.backbone, VAN)
    assert model.backbone.arch is ARCHS[ARCH_OF_SIZE[method_and_size(path)[1]]]
    for loader in ("train_dataloader", "test_dataloader"):
        for transform in cfg[loader].dataset.pipeline:
            assert TRANSFORMS.build(transform) is not None
    for transform in cfg.tta_pipeline:
        assert TRANSFORMS.build(transform) is not None
