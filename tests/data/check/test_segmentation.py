"""Images without label maps, label maps without images, and nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

from mmvan.data.check import DataError, check_datasets

Configs = dict[str, Callable[[Path], Config]]


@pytest.fixture
def cfg(own_root: Path, configs: Configs) -> Config:
    return configs["seg"](own_root)


def folder(cfg: Config, kind: str) -> Path:
    dataset = cfg.train_dataloader.dataset
    return Path(dataset.data_root, dataset.data_prefix[kind])


def report(cfg: Config) -> str:
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, ("train",))
    text = str(caught.value)
    assert text.startswith("1 problem ")
    return text


def test_images_without_label_maps(cfg: Config) -> None:
    for path in sorted(folder(cfg, "seg_map_path").iterdir())[:2]:
        path.unlink()
    text = report(cfg)
    assert "train_dataloader.dataset.data_prefix.seg_map_path: " in text
    assert "2 files missing: ADE_train_00000001.png, ADE_train_00000002.png" in text
    assert f"expected: a label map for each image in {folder(cfg, 'img_path')}" in text


def test_label_maps_without_images(cfg: Config) -> None:
    next(folder(cfg, "img_path").glob("*3.jpg")).unlink()
    text = report(cfg)
    assert "train_dataloader.dataset.data_prefix.img_path: " in text
    assert "1 files missing: ADE_train_00000003.jpg" in text
    assert f"expected: an image for each label map in {folder(cfg, 'seg_map_path')}" in text


def test_wrong_suffix_names_what_is_there(cfg: Config) -> None:
    cfg.train_dataloader.dataset.img_suffix = ".jpeg"
    text = report(cfg)
    assert "no file that ends in '.jpeg'; there are ADE_train_00000001.jpg" in text
    assert "set img_suffix, or: " in text


def test_no_images_at_all(cfg: Config) -> None:
    for path in folder(cfg, "img_path").iterdir():
        path.unlink()
    assert "no file that ends in '.jpg'; it is empty" in report(cfg)


def test_missing_directory_of_label_maps(cfg: Config) -> None:
    cfg.train_dataloader.dataset.data_prefix.seg_map_path = "annotations/train"
    text = report(cfg)
    assert "no such directory; " in text
    assert "annotations has training" in text


def test_a_list_of_names_decides_what_is_needed(cfg: Config) -> None:
    names = Path(cfg.train_dataloader.dataset.data_root) / "names.txt"
    cfg.train_dataloader.dataset.ann_file = "names.txt"
    names.write_text("ADE_train_00000001\nADE_train_00000002\n")
    next(folder(cfg, "img_path").glob("*3.jpg")).unlink()
    check_datasets(cfg, ("train",))
    names.write_text("ADE_train_00000001\nADE_train_00000009\n")
    next(folder(cfg, "seg_map_path").glob("*1.png")).unlink()
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, ("train",))
    text = str(caught.value)
    assert text.startswith("2 problems ")
    assert f"1 files missing: ADE_train_00000009.jpg\n   expected: every image that {names}" in text
    assert "2 files missing: ADE_train_00000001.png, ADE_train_00000009.png" in text


def test_suffixes_of_the_data_set_class_are_used(tmp_path: Path) -> None:
    for path in ("img/town/a_leftImg8bit.png", "gt/town/a_gtFine_labelTrainIds.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / path)
    dataset = {
        "type": "CityscapesDataset",
        "data_root": str(tmp_path),
        "data_prefix": {"img_path": "img", "seg_map_path": "gt"},
    }
    cfg = Config({"default_scope": "mmseg", "train_dataloader": {"dataset": dataset}})
    check_datasets(cfg)
    (tmp_path / "gt/town/a_gtFine_labelTrainIds.png").unlink()
    assert "1 files missing: town/a_gtFine_labelTrainIds.png" in report(cfg)


def test_a_test_set_needs_no_label_maps(cfg: Config) -> None:
    for path in folder(cfg, "seg_map_path").iterdir():
        path.unlink()
    del cfg.train_dataloader.dataset.data_prefix["seg_map_path"]
    check_datasets(cfg, ("train",))
    cfg.train_dataloader.dataset.data_prefix.seg_map_path = "annotations/training"
    assert "4 files missing" in report(cfg)
