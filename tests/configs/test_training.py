"""One training step and one prediction for each method and size class, on sample data."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from mmvan.data.sample import prepare
from mmvan.engine.processes import use_plain_batch_norm
from tests.configs.zoo import SAMPLE, find, load, method_and_size

# Widths differ between B0, B1 to B4, B5 and B6; one of each that a method has.
CASES = [
    (method, size)
    for method, sizes in {
        "in1k": ("t", "s", "b5", "b6"),
        "maskrcnn": ("t", "s"),
        "fpn": ("t", "s"),
        "upernet": ("t", "s", "b5"),
    }.items()
    for size in sizes
]
DATA = {"in1k": "cls", "maskrcnn": "det", "fpn": "seg", "upernet": "seg"}
FOLDER = {"cls": "imagenet", "det": "coco", "seg": "ade20k"}
COUNTS = {"cls": (1, 1), "det": (24, 2), "seg": (4, 2)}


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A training and a test batch of each task, through the pipelines of its sample config."""
    root = tmp_path_factory.mktemp("data")
    batches = {}
    for path in SAMPLE:
        cfg = load(path)
        task = DATA[method_and_size(path)[0].removesuffix("_sample")]
        prepare(root, task, counts=COUNTS[task])
        init_default_scope(cfg.default_scope)
        batches[task] = {
            name: next(iter(build_loader(cfg[f"{name}_dataloader"], root / FOLDER[task])))
            for name in ("train", "test")
        }
    return batches


def build_loader(settings: Config, data_root: Path) -> Any:
    settings = settings.copy()
    settings.update(num_workers=0, persistent_workers=False, batch_size=2, pin_memory=False)
    settings.dataset.data_root = str(data_root)
    if settings.dataset.type == "CustomDataset":
        settings.collate_fn = {"type": "default_collate"}
    return Runner.build_dataloader(settings, seed=0)


def test_number_of_cases() -> None:
    assert len(CASES) == 11


@pytest.mark.parametrize(("method", "size"), CASES)
def test_one_training_step_and_one_prediction(
    method: str, size: str, samples: dict[str, dict[str, Any]]
) -> None:
    torch.manual_seed(0)
    cfg = load(find(method, size))
    init_default_scope(cfg.default_scope)
    use_plain_batch_norm(cfg)
    # Without stochastic depth, which may drop a block for both samples.
    cfg.model.backbone.update(init_cfg=None, drop_path_rate=0.0)
    if "size" in cfg.model.data_preprocessor:
        cfg.model.data_preprocessor.size = (160, 160)
    model = MODELS.build(cfg.model)
    model.init_weights()
    before = {name: p.detach().clone() for name, p in model.backbone.named_parameters()}

    batch = samples[DATA[method]]
    losses = model.train().train_step(batch["train"], build_optim_wrapper(model, cfg.optim_wrapper))
    assert losses["loss"].isfinite()
    changed = [n for n, p in model.backbone.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) == len(before)

    (first, *_) = model.eval().test_step(batch["test"])
    prediction = {
        "cls": lambda: first.pred_score.shape == (1000,),
        "det": lambda: first.pred_instances.masks.shape[1:] == first.ori_shape,
        "seg": lambda: first.pred_sem_seg.data.shape[1:] == first.ori_shape,
    }[DATA[method]]
    assert prediction()
