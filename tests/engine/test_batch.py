from dataclasses import replace
from typing import Any

import pytest
from mmengine.config import Config

from mmvan.engine.batch import Batch, batch_of, describe_batch, divide_base_batch
from mmvan.engine.processes import Processes
from tests.configs.zoo import LEAVES, REFERENCE, load


def config(accumulation: int = 1, **scaling: Any) -> Config:
    wrapper = {"optimizer": {"lr": 1e-3}, "accumulative_counts": accumulation}
    return Config({"optim_wrapper": wrapper, "auto_scale_lr": scaling})


def describe(batch: Batch, device: str = "cuda", *, scaled: bool = False) -> list[str]:
    return describe_batch(batch, config(enable=scaled), device)


def test_batch_of_a_config() -> None:
    cfg = config(3, base_batch_size=24)
    cfg.train_dataloader = {"batch_sampler": {"batch_size": 2}}
    batch = batch_of(cfg, Processes("pytorch", world_size=4))
    assert batch == Batch(processes=4, per_process=2, accumulation=3, recipe=24)
    assert batch.effective == 24


@pytest.fixture(scope="module")
def configs() -> dict[str, Config]:
    return {path.stem: load(path) for path in LEAVES}


def test_every_config_states_the_batch_of_its_learning_rate(configs: dict[str, Config]) -> None:
    stated = {stem: cfg.auto_scale_lr for stem, cfg in configs.items()}
    assert len(stated) == len(LEAVES) >= 56
    for stem, scaling in stated.items():
        assert scaling.base_batch_size > 1, stem
        assert scaling.enable is False, stem


@pytest.mark.parametrize("gpus", (1, 2, 4, 8, 16))
def test_accumulation_makes_every_recipes_batch(gpus: int, configs: dict[str, Config]) -> None:
    """With the config's own batch per process, or less where that is more than the recipe."""
    for path in REFERENCE:
        batch = batch_of(configs[path.stem], Processes("pytorch", world_size=gpus))
        batch = replace(batch, per_process=min(batch.per_process, batch.recipe // gpus))
        count = batch.accumulation_of_recipe
        assert replace(batch, accumulation=count).effective == batch.recipe, path.stem
    assert len(REFERENCE) >= 52


@pytest.mark.parametrize(
    ("batch", "scaled", "expected"),
    (
        (
            Batch(8, 128, 1, 1024),
            False,
            ["8 GPUs x batch 128 x accumulation 1 = effective batch 1024", "lr 0.001", "the same"],
        ),
        (
            Batch(1, 128, 1, 1024),
            False,
            [
                "1 GPU x batch 128 x accumulation 1 = effective batch 128",
                "lr 0.001",
                "8 times this batch; add --accumulate 8 or --auto-scale-lr",
            ],
        ),
        (
            Batch(3, 128, 1, 1024),
            False,
            [
                "3 GPUs x batch 128 x accumulation 1 = effective batch 384",
                "lr 0.001",
                "2.66667 times this batch; add --auto-scale-lr",
            ],
        ),
        (
            Batch(16, 128, 1, 1024),
            True,
            [
                "16 GPUs x batch 128 x accumulation 1 = effective batch 2048",
                "lr 0.002",
                "0.5 times this batch, lr scaled",
            ],
        ),
    ),
)
def test_the_batch_stands_beside_the_recipes(
    batch: Batch, scaled: bool, expected: list[str]
) -> None:
    *parts, last = expected
    assert describe(batch, scaled=scaled) == [
        *parts,
        f"recipe: batch 1024, lr 0.001: {last}",
    ]


def test_accumulation_says_what_batch_norm_sees() -> None:
    parts = describe(Batch(2, 4, 2, 32), "cpu")
    assert parts[0] == "2 processes x batch 4 x accumulation 2 = effective batch 16"
    assert parts[1] == "BatchNorm's statistics are those of each batch alone"
    assert parts[3].endswith("2 times this batch; add --accumulate 4 or --auto-scale-lr")


def test_what_the_config_does_not_say_is_said_so() -> None:
    cfg = Config({"optim_wrapper": {"optimizer": {"type": "Adafactor"}}})
    assert describe_batch(Batch(1, 2, 1, None), cfg, "cpu")[1:] == [
        "lr set by the optimizer",
        "recipe: batch not stated (auto_scale_lr.base_batch_size)",
    ]


@pytest.mark.parametrize(("enable", "base"), ((True, 4), (False, 16)))
def test_the_base_is_divided_only_where_the_rate_is_scaled(enable: bool, base: int) -> None:
    cfg = config(enable=enable, base_batch_size=16)
    divide_base_batch(cfg, 4)
    assert cfg.auto_scale_lr.base_batch_size == base
