"""Configs that are written for custom datasets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvan.data.prepare.config import Classification, Detection, Segmentation, write_config

CLASSES = ("sky", 'it\'s "odd"', "<metainfo>", "Straße")
DATA = {
    "cls": Classification(CLASSES),
    "masks": Detection(CLASSES, masks=True, partial=False),
    "boxes": Detection(CLASSES, masks=False, partial=True),
    "seg": Segmentation(CLASSES, ((0, 1, 2),) * 4, ".jpg", ".png"),
}
HEADS = {
    "cls": ("head",),
    "masks": ("roi_head.bbox_head", "roi_head.mask_head"),
    "boxes": ("bbox_head",),
    "seg": ("decode_head",),
}


@pytest.fixture(params=DATA)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def cfg(kind: str, tmp_path: Path) -> Config:
    return Config.fromfile(write_config(DATA[kind], tmp_path))


def test_every_kind_names_classes_and_data(kind: str, cfg: Config, tmp_path: Path) -> None:
    assert cfg.filename == str(tmp_path / f"van_b_{tmp_path.name}.py")
    heads = [cfg.model for _ in HEADS[kind]]
    for index, key in enumerate(HEADS[kind]):
        for part in key.split("."):
            heads[index] = heads[index][part]
    assert {head.num_classes for head in heads} == {4}
    for loader in ("train", "val", "test"):
        dataset = cfg[f"{loader}_dataloader"].dataset
        assert tuple(dataset.metainfo.classes) == CLASSES
        assert dataset.data_root == tmp_path.as_posix()
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator


def test_the_base_is_named_relative_to_the_file(cfg: Config) -> None:
    lines = Path(cfg.filename).read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# tools/dist_train.sh {cfg.filename} 1"
    base = lines[2].partition('"')[2].rstrip('"')
    assert not Path(base).is_absolute()
    assert Path(os.path.normpath(Path(cfg.filename).parent / base)).is_file()


def test_label_zero_is_a_class(tmp_path: Path) -> None:
    text = write_config(DATA["seg"], tmp_path).read_text(encoding="utf-8")
    assert "reduce_zero_label=True" not in text
    cfg = Config.fromfile(tmp_path / f"van_b_{tmp_path.name}.py")
    base = Config.fromfile(cfg.filename)
    assert base.train_dataloader.dataset.pipeline[2].scale == (2048, 512)
    assert "reduce_zero_label=True" not in repr(cfg)
    assert repr(cfg).count("'reduce_zero_label': False") >= 6


def test_a_part_may_lack_categories(tmp_path: Path) -> None:
    assert Config.fromfile(write_config(DATA["boxes"], tmp_path)).allow_empty_categories is True


def test_a_config_that_is_there_is_kept(tmp_path: Path) -> None:
    file = write_config(DATA["cls"], tmp_path)
    file.write_text("mine = 1\n")
    assert write_config(DATA["seg"], tmp_path) == file
    assert file.read_text() == "mine = 1\n"
