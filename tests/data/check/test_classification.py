"""Class folders that are empty or too few, and lists that name what is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvan.data.check import DataError, check_datasets

Configs = dict[str, Callable[[Path], Config]]


@pytest.fixture
def cfg(own_root: Path, configs: Configs) -> Config:
    return configs["cls"](own_root)


@pytest.fixture
def train(own_root: Path) -> Path:
    return own_root / "imagenet" / "train"


def report(cfg: Config) -> str:
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, ("train",))
    text = str(caught.value)
    assert text.startswith("1 problem ")
    assert "train_dataloader.dataset." in text
    return text


def test_empty_class_folders_are_named(cfg: Config, train: Path) -> None:
    for name in ("n90000002", "n90000004"):
        for path in (train / name).iterdir():
            path.rename(path.with_suffix(".txt"))
    text = report(cfg)
    assert f"train_dataloader.dataset.data_prefix: {train}\n" in text
    assert "2 of 10 class folders without an image: n90000002, n90000004" in text
    assert "expected: images (.jpg, .jpeg, .png" in text


def test_images_deeper_in_a_class_folder_count(cfg: Config, train: Path) -> None:
    folder = train / "n90000001"
    (folder / "deep").mkdir()
    for path in folder.glob("*.JPEG"):
        path.rename(folder / "deep" / path.name)
    check_datasets(cfg, ("train",))
    assert not list(folder.glob("*.JPEG"))


def test_no_class_folders_at_all(cfg: Config, train: Path) -> None:
    for folder in list(train.iterdir()):
        for path in folder.iterdir():
            path.rename(train / path.name)
        folder.rmdir()
    text = report(cfg)
    assert "no class folders; " in text
    assert "train has n90000001_0.JPEG, " in text
    assert "one folder of images per class" in text


def test_an_empty_directory_says_so(cfg: Config, own_root: Path) -> None:
    (own_root / "imagenet" / "nothing").mkdir()
    cfg.train_dataloader.dataset.data_prefix = "nothing"
    assert "nothing is empty" in report(cfg)


def test_too_few_class_folders(cfg: Config, train: Path) -> None:
    (train / "n90000010").rename(train / ".n90000010")
    text = report(cfg)
    assert "9 class folders: n90000001, n90000002, n90000003, n90000004, n90000005 and 4" in text
    assert "10, one for each class: striped disc, checkered square" in text
    del cfg.train_dataloader.dataset["metainfo"]
    cfg.model.head.num_classes = 1000
    assert "expected: 1000, one for each class: tench" in report(cfg)


def test_a_list_of_labels(cfg: Config, train: Path) -> None:
    meta = train.parent / "meta"
    meta.mkdir()
    lines = [f"{path.relative_to(train)} 3" for path in sorted(train.rglob("*.JPEG"))]
    (meta / "train.txt").write_text("\n".join(lines))
    check_datasets(cfg, ("train",))
    min(train.rglob("*.JPEG")).unlink()
    assert "1 of 20 images missing: n90000001/n90000001_0.JPEG" in report(cfg)
    lines[2:5] = ["n90000002/n90000002_0.JPEG", "a.JPEG x", "a.JPEG 10"]
    (meta / "train.txt").write_text("\n".join(lines))
    text = report(cfg)
    assert f"train_dataloader.dataset.ann_file: {meta / 'train.txt'}\n" in text
    assert "3 bad lines: line 3: no path and label, line 4: label 'x' is not a whole" in text
    assert "line 5: label 10 with 10 classes" in text
    (meta / "train.txt").write_text("")
    assert "found:    no lines" in report(cfg)


def test_data_without_labels(cfg: Config, train: Path) -> None:
    cfg.train_dataloader.dataset = {
        "type": "CustomDataset",
        "data_root": str(train),
        "with_label": False,
    }
    cfg.pop("model")
    check_datasets(cfg, ("train",))
    for path in train.rglob("*.JPEG"):
        path.unlink()
    assert "no image at any depth" in report(cfg)


def test_the_home_directory_is_expanded_as_mmpretrain_does(
    cfg: Config, train: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(train.parent))
    cfg.train_dataloader.dataset.data_prefix = "~/train"
    check_datasets(cfg, ("train",))
    cfg.train_dataloader.dataset.data_prefix = "~/trian"
    assert f"data_prefix.img_path: {train.parent}/trian\n" in report(cfg)
