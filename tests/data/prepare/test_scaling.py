"""Recipes fitted to datasets of other sizes: numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmvan.data.prepare.config_text import number
from mmvan.data.prepare.scaling import scale
from mmvan.errors import ConfigError
from mmvan.location import config_dir

# The columns of the documentation's table.
DOCUMENTED = (
    "classification/van_b_custom",
    "detection/van_b_maskrcnn",
    "segmentation/van_b_fpn",
)


def scaled(config: str, images: int, max_batch: int | None = None) -> dict[str, Any]:
    """What a recipe becomes: batch, rate, length, interval, and (begin, end) of each scheduler."""
    made = scale(Config.fromfile(config_dir() / f"{config}.py"), images, max_batch)
    settings = made.settings
    loop = settings["train_cfg"]
    assert settings["auto_scale_lr"] == {"base_batch_size": made.batch}
    assert settings["default_hooks"]["checkpoint"]["interval"] == loop["val_interval"]
    return {
        "batch": made.batch,
        "lr": settings["optim_wrapper"]["optimizer"]["lr"],
        "length": loop.get("max_epochs") or loop["max_iters"],
        "interval": loop["val_interval"],
        "spans": [(s.get("begin", 0), s.get("end")) for s in settings["param_scheduler"]],
        "milestones": [s["milestones"] for s in settings["param_scheduler"] if "milestones" in s],
    }


@pytest.mark.parametrize(
    ("images", "batch", "lr", "epochs", "interval"),
    (
        # Steps are too few: 1000 of them, 3 an epoch.
        (20, 8, 1.25e-5, 334, 11),
        # 30 x sqrt(50,000 / 1000) is 212: the most epochs.
        (1000, 64, 1e-4, 100, 3),
        # 30 x sqrt(50,000 / 12,500).
        (12_500, 64, 1e-4, 60, 2),
        (50_000, 64, 1e-4, 30, 1),
        # As many images in all: 30 x 50,000 / 150,000.
        (150_000, 64, 1e-4, 10, 1),
        (50_000_000, 64, 1e-4, 3, 1),
    ),
)
def test_classification(images: int, batch: int, lr: float, epochs: int, interval: int) -> None:
    made = scaled("classification/van_b_custom", images)
    assert (made["batch"], made["lr"], made["length"]) == (batch, lr, epochs)
    assert made["interval"] == interval
    assert made["spans"] == [(0, 1), (0, epochs)]


@pytest.mark.parametrize(
    ("images", "epochs", "interval", "warm_up", "milestones"),
    (
        # 500 an epoch of 5 steps would be 100 epochs; 1000 steps are 200. A tenth is the warm-up.
        (10, 200, 17, 100, [133, 183]),
        # 12 x sqrt(117,266 / 1000) is 130.
        (1000, 100, 8, 501, [67, 92]),
        # 12 x sqrt(117,266 / 29,316) is 24.
        (29_316, 24, 2, 501, [16, 22]),
        (117_266, 12, 1, 501, [8, 11]),
        (234_532, 6, 1, 501, [4, 6]),
    ),
)
def test_detection(
    images: int, epochs: int, interval: int, warm_up: int, milestones: list[int]
) -> None:
    assert scaled("detection/van_b_maskrcnn", images) == {
        "batch": 2,
        "lr": 1.25e-5,
        "length": epochs,
        "interval": interval,
        "spans": [(0, warm_up), (0, epochs)],
        "milestones": [milestones],
    }


@pytest.mark.parametrize(
    ("images", "iterations"),
    (
        (10, 1000),
        # CamVid: 100 epochs in batches of 4.
        (367, 9200),
        # 40,000 x 32 / 20,210 is 63.3 epochs; 63.3 x sqrt(20,210 / 10,000) are 90.
        (10_000, 225_100),
        # As many images as in the recipe, 40,000 x 32, from its size on.
        (20_210, 320_000),
        (200_000, 320_000),
    ),
)
def test_segmentation(images: int, iterations: int) -> None:
    assert scaled("segmentation/van_b_fpn", images) == {
        "batch": 4,
        "lr": 2.5e-5,
        "length": iterations,
        "interval": iterations // 10,
        "spans": [(0, iterations + 1)],
        "milestones": [],
    }


def test_a_warm_up_ends_where_the_curve_behind_it_begins() -> None:
    made = scaled("classification/van_h_in22k_in1k", 40)
    # 5 of 30 epochs are more than a tenth; they stay 5.
    assert made["spans"] == [(0, 5), (5, made["length"])]
    short = scaled("classification/van_h_in22k_in1k", 20_000_000)
    assert short["length"] == 3
    assert short["spans"] == [(0, 1), (1, 3)]


@pytest.mark.parametrize(
    ("images", "batch"), ((0, 1), (1, 1), (2, 2), (3, 2), (15, 4), (16, 8), (127, 32), (128, 64))
)
def test_an_epoch_has_two_batches_and_a_batch_two_images(images: int, batch: int) -> None:
    assert scaled("classification/van_b_custom", images)["batch"] == batch


def test_a_batch_fits_a_model_that_takes_fewer_images() -> None:
    made = scaled("classification/van_b_custom", 1000, max_batch=16)
    assert made["batch"] == 16
    assert made["lr"] == 2.5e-5


def test_where_the_size_of_the_recipe_is_not_known_its_length_stays() -> None:
    cfg = Config.fromfile(config_dir() / "detection/van_b_maskrcnn.py")
    cfg.train_dataloader.dataset.data_root = "elsewhere"
    made = scale(cfg, 5000)
    assert made.settings["train_cfg"]["max_epochs"] == 12
    assert "(the recipe: 12, in batches of 16)" in made.reasons


@pytest.mark.parametrize(
    ("config", "interval"), (("detection/van_b_maskrcnn", 8), ("segmentation/van_b_fpn", 625))
)
def test_intervals_that_mmengine_has_by_itself(config: str, interval: int) -> None:
    cfg = Config.fromfile(config_dir() / f"{config}.py")
    # 1 of 12 epochs, and 1000 of 40,000 iterations.
    del cfg.train_cfg["val_interval"]
    assert scale(cfg, 1000).settings["train_cfg"]["val_interval"] == interval


def test_the_reasons_have_the_numbers() -> None:
    made = scale(Config.fromfile(config_dir() / "detection/van_b_maskrcnn.py"), 1000)
    assert made.reasons == (
        "For 1 GPU: 1,000 images in batches of 2, 500 steps an epoch: 100 epochs (the recipe: 12 "
        "of 117,266 images, in batches of 16). The rate follows the batch: 1e-4 x 2 / 16. On "
        "more GPUs add --auto-scale-lr."
    )


def test_a_schedule_that_cannot_be_stretched() -> None:
    cfg = Config.fromfile(config_dir() / "segmentation/van_b_fpn.py")
    cfg.param_scheduler = [{"type": "OneCycleLR", "by_epoch": False, "total_steps": 9}]
    with pytest.raises(ConfigError, match="--config: param_scheduler has a OneCycleLR"):
        scale(cfg, 1000)


def test_the_table_in_the_documentation() -> None:
    lines = (Path(__file__).parents[3] / "docs/data.md").read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("| images to train on |"))
    for line in lines[begin + 2 : begin + 6]:
        images, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for config, cell in zip(DOCUMENTED, cells, strict=True):
            made = scaled(config, int(images.replace(",", "")))
            length, _, setting = cell.partition(", batch ")
            assert int(length.split()[0].replace(",", "")) == made["length"], cell
            if setting:
                assert setting == f"{made['batch']}, lr {number(made['lr'])}"
