"""Fine-tuning: what the paper leaves open of it, and the template for custom images."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, PARAM_SCHEDULERS, init_default_scope
from mmengine.runner import Runner

from mmvan.data.check import check_datasets
from mmvan.data.sample import prepare
from mmvan.engine.config import load_config
from mmvan.errors import DataError
from tests.configs.published import RECIPE, configs_of
from tests.configs.zoo import TEMPLATES, find, load

NEEDS = ("model", "train_dataloader", "train_cfg", "optim_wrapper")
# swin_base_patch4_window{7_224,12_384}_22kto1k_finetune.yaml; rates are per 512 images.
SWIN = {
    "BASE_LR": 2e-5,
    "MIN_LR": 2e-7,
    "WARMUP_LR": 2e-8,
    "WARMUP_EPOCHS": 5,
    "WEIGHT_DECAY": 1e-8,
    "DROP_PATH_RATE": 0.2,
}


def rates(cfg: Config, epoch_length: int) -> list[float]:
    """The learning rate of every iteration, with an epoch as long as is given."""
    init_default_scope(cfg.default_scope)
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build({**settings, "optimizer": optimizer, "epoch_length": epoch_length})
        for settings in cfg.param_scheduler
    ]
    found = []
    for _ in range(cfg.train_cfg.max_epochs * epoch_length):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


def test_the_published_inputs_have_a_config_of_each_size() -> None:
    found = {}
    for path in configs_of("in22k_in1k"):
        cfg = load(path)
        crops = cfg.train_dataloader.dataset.pipeline[1].transforms
        test = cfg.test_dataloader.dataset.pipeline
        (side,) = {crop[0].scale for crop in crops}
        # At 224 the crop of the recipe from scratch, at 384 the whole image.
        assert test[1].scale == {224: 248, 384: (384, 384)}[side]
        found.setdefault(side, set()).add(cfg.model.backbone.arch)
    assert sorted(found) == RECIPE["in22k_in1k"]["inputs"] == [224, 384]
    assert all(archs == {"b4", "b5", "b6"} for archs in found.values())


def test_at_384_nothing_but_the_size_is_augmented_differently() -> None:
    small, large = (
        load(find(method, "h")).train_dataloader.dataset.pipeline
        for method in ("in22k_in1k", "in22k_in1k_384")
    )
    assert len(small) == len(large) == 6
    for (one,), (other,) in zip(small[1].transforms, large[1].transforms, strict=True):
        assert {**one, "scale": 384} == other
    assert [small[0], *small[2:]] == [large[0], *large[2:]]


@pytest.mark.parametrize("path", configs_of("in22k_in1k"), ids=lambda path: path.stem)
def test_what_is_not_published_is_swins(path: Path) -> None:
    cfg = load(path)
    scale = cfg.auto_scale_lr.base_batch_size / 512
    assert cfg.model.backbone.drop_path_rate == SWIN["DROP_PATH_RATE"]
    assert cfg.optim_wrapper.optimizer.weight_decay == SWIN["WEIGHT_DECAY"]
    length = 40
    found = rates(cfg, length)
    assert len(found) == RECIPE["in22k_in1k"]["epochs"] * length
    assert found[0] == pytest.approx(SWIN["WARMUP_LR"] * scale)
    assert max(found) == pytest.approx(SWIN["BASE_LR"] * scale)
    assert found.index(max(found)) == pytest.approx(SWIN["WARMUP_EPOCHS"] * length, abs=1)
    assert found[-1] == pytest.approx(SWIN["MIN_LR"] * scale, rel=1e-3)


def test_cub_has_a_cosine_without_warm_up_and_decays_everything() -> None:
    cfg = load(find("cub200", "h"))
    assert RECIPE["cub200"]["schedule"] == "cosine"
    found = rates(cfg, 2)
    assert len(found) == 200
    assert found == sorted(found, reverse=True)
    assert found[0] == RECIPE["cub200"]["lr"]
    assert found[100] == pytest.approx(found[0] / 2, rel=0.02)
    assert "paramwise_cfg" not in cfg.optim_wrapper
    assert (cfg.model.head.num_classes, cfg.model.data_preprocessor.num_classes) == (200, 200)


def edited_template(folder: Path, data_root: Path, classes: int) -> Path:
    """The template as a user edits it: three lines."""
    (template,) = TEMPLATES
    edits = {
        'data_root = "data/custom"': f"data_root = {str(data_root)!r}",
        "num_classes = 10": f"num_classes = {classes}",
        "epochs = 30": "epochs = 1",
    }
    text = template.read_text()
    for line, edited in edits.items():
        assert text.count(f"\n{line}\n") == 1
        text = text.replace(f"\n{line}\n", f"\n{edited}\n")
    text = text.replace('"../_base_', f'"{template.parents[1]}/_base_')
    path = folder / "van_b_birds.py"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    prepare(root, "cls", counts=(2, 1))
    return root / "imagenet"


def test_the_template_trains_on_a_folder_of_images(images: Path, tmp_path: Path) -> None:
    cfg = load_config(str(edited_template(tmp_path, images, 10)), None, NEEDS)
    check_datasets(cfg, ("train", "val"))
    assert [len(rates(cfg, 5)), len(cfg.val_evaluator.topk)] == [5, 1]
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert (len(dataset), len(dataset.CLASSES)) == (10, 10)

    cfg.model.backbone.update(
        init_cfg=None, arch={"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    )
    cfg.model.head.in_channels = 32
    model = MODELS.build(cfg.model)
    model.init_weights()
    losses = model.train().train_step(
        first_batch(cfg.train_dataloader), build_optim_wrapper(model, cfg.optim_wrapper)
    )
    assert losses["loss"].isfinite()
    predictions = model.eval().test_step(first_batch(cfg.test_dataloader))
    assert [p.pred_score.shape for p in predictions] == [(10,)] * 10


def first_batch(settings: Any) -> Any:
    settings = {**settings, "num_workers": 0, "persistent_workers": False, "pin_memory": False}
    settings["collate_fn"] = {"type": "default_collate"}
    return next(iter(Runner.build_dataloader(settings, seed=0)))


def test_a_template_with_another_number_of_classes_is_refused(images: Path, tmp_path: Path) -> None:
    cfg = load_config(str(edited_template(tmp_path, images, 7)), None, NEEDS)
    with pytest.raises(DataError, match="a head for 7 classes") as caught:
        check_datasets(cfg, ("train", "val"))
    assert "--cfg-options model.head.num_classes=10" in str(caught.value)
