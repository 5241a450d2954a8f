"""Where datasets look for their files: as the libraries themselves join the paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS

from mmvan.data.check.sources import find_sources, list_files, neighbours

Configs = dict[str, Callable[[Path], Config]]


@pytest.mark.parametrize("task", ("cls", "det", "seg"))
@pytest.mark.parametrize("loader", ("train", "val"))
def test_paths_are_those_of_the_built_data_set(
    sample_root: Path, configs: Configs, task: str, loader: str
) -> None:
    cfg = configs[task](sample_root)
    (source,) = find_sources(cfg, loader)
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        built = registry.build({**source.options, "lazy_init": True})
    expected = {key: Path(path) for key, path in built.data_prefix.items() if path is not None}
    assert {key: Path(path) for key, path in source.prefixes.items()} == expected
    assert Path(source.ann_file) == Path(built.ann_file)
    assert source.classes == tuple(built.metainfo["classes"])
    assert type(built) is source.dataset_type


@pytest.mark.parametrize("form", ("bare", "scoped", "class"))
def test_types_are_found_in_every_form(sample_root: Path, configs: Configs, form: str) -> None:
    cfg = configs["det"](sample_root)
    (expected,) = find_sources(cfg, "train")
    kind = {"bare": "CocoDataset", "scoped": "mmdet.CocoDataset", "class": expected.dataset_type}
    cfg.train_dataloader.dataset["type"] = kind[form]
    if form == "scoped":
        cfg.pop("default_scope")
    (source,) = find_sources(cfg, "train")
    assert source.dataset_type is expected.dataset_type
    assert source.layout == "CocoDataset"


def test_absolute_paths_ignore_the_root(sample_root: Path, configs: Configs) -> None:
    cfg = configs["det"](sample_root)
    cfg.train_dataloader.dataset.ann_file = "/elsewhere/a.json"
    (source,) = find_sources(cfg, "train")
    assert source.ann_file == "/elsewhere/a.json"
    assert Path(source.prefixes["img"]) == sample_root / "coco/train2017"


def test_class_names_may_stand_in_a_file(
    sample_root: Path, configs: Configs, tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    cfg = configs["cls"](sample_root)
    cfg.train_dataloader.dataset.metainfo.classes = str(tmp_path / "names.txt")
    (source,) = find_sources(cfg, "train")
    assert source.classes == ("one", "two")


def test_files_are_listed_at_any_depth_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.JPG", "b/d/e", ".hidden", "b/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(list_files(str(tmp_path))) == ["a.jpg", "b/c.JPG", "b/d/e"]


def test_neighbours_of_a_deep_missing_path(tmp_path: Path) -> None:
    for name in ("coco2017", "ade", "imagenet"):
        (tmp_path / name).mkdir()
    assert neighbours(str(tmp_path / "coco" / "train" / "x.json")) == f"{tmp_path} has coco2017"
    assert neighbours(str(tmp_path / "zzz")) == f"{tmp_path} has ade, coco2017, imagenet"
