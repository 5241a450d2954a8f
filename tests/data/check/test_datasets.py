"""The whole check: sound data pass, and everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvan.data.check import DataError, check_datasets, detection, sources

Configs = dict[str, Callable[[Path], Config]]


def report(cfg: Config, *loaders: str) -> str:
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, loaders or ("train", "val", "test"))
    return str(caught.value)


@pytest.mark.parametrize("task", ("cls", "det", "pan", "seg"))
def test_sound_data_pass(sample_root: Path, configs: Configs, task: str) -> None:
    cfg = configs[task](sample_root)
    check_datasets(cfg)
    cfg.train_dataloader.dataset.data_root += "x"
    assert "1 problem with" in report(cfg)


@pytest.mark.parametrize("task", ("cls", "det", "pan", "seg"))
def test_missing_root_names_key_path_neighbours_and_remedy(
    own_root: Path, configs: Configs, task: str
) -> None:
    cfg = configs[task](own_root)
    folder = Path(cfg.train_dataloader.dataset.data_root)
    folder.rename(folder.with_name(folder.name + "_old"))
    text = report(cfg, "train")
    assert text.startswith("1 problem with the data that the config names:\n")
    assert f"1. train_dataloader.dataset.data_root: {folder}\n" in text
    assert f"no such directory; {own_root} has {folder.name}_old" in text
    assert "expected: the directory of the dataset" in text
    advice = "put the dataset there (python tools/prepare_dataset.py does; docs/data.md)"
    assert advice in text


def test_missing_sample_data_come_with_their_command(tmp_path: Path, configs: Configs) -> None:
    text = report(configs["cls"](tmp_path / "sample"))
    assert f"no such directory; {tmp_path} is empty" in text
    assert "make the sample data: python tools/prepare_sample_data.py" in text


def test_only_the_loaders_asked_for_are_checked(tmp_path: Path, configs: Configs) -> None:
    cfg = configs["det"](tmp_path)
    text = report(cfg, "train")
    assert "train_dataloader" in text
    assert "val_" not in text
    text = report(cfg, "test")
    assert "test_dataloader" in text
    assert "test_evaluator.ann_file" in text
    assert "train_" not in text
    cfg.train_dataloader = None
    cfg.pop("val_dataloader")
    cfg.val_evaluator = None
    check_datasets(cfg, ("train", "val"))


def test_a_problem_shared_by_loaders_is_told_once_with_all_keys(
    tmp_path: Path, configs: Configs
) -> None:
    text = report(configs["seg"](tmp_path))
    assert text.startswith("1 problem ")
    keys = ", ".join(
        f"{loader}_dataloader.dataset.data_root" for loader in ("train", "val", "test")
    )
    assert f"1. {keys}: {tmp_path / 'ade20k'}\n" in text


def test_all_wrapped_data_sets_are_found(tmp_path: Path, configs: Configs) -> None:
    cfg = configs["det"](tmp_path)
    plain = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = {
        "type": "RepeatDataset",
        "dataset": {
            "type": "ConcatDataset",
            "datasets": [
                plain | {"data_root": str(tmp_path / "a")},
                {"type": "ClassBalancedDataset", "dataset": plain | {"data_root": "b"}},
            ],
        },
    }
    text = report(cfg, "train")
    assert text.startswith("2 problems ")
    assert "train_dataloader.dataset.dataset.datasets[0].data_root: " in text
    assert "train_dataloader.dataset.dataset.datasets[1].dataset.data_root: b\n" in text


def test_many_problems_are_counted_and_the_first_shown(tmp_path: Path, configs: Configs) -> None:
    cfg = configs["cls"](tmp_path)
    parts = [{"type": "ImageNet", "data_root": f"nowhere/{index}"} for index in range(27)]
    cfg.train_dataloader.dataset = {"type": "ConcatDataset", "datasets": parts}
    text = report(cfg, "train")
    assert text.startswith("27 problems with the data that the config names (the first 20 of them)")
    assert "\n20. train_dataloader.dataset.datasets[19]" in text
    assert "\n21. " not in text


def test_metric_files_are_checked_too(own_root: Path, configs: Configs) -> None:
    cfg = configs["det"](own_root)
    broken = own_root / "broken.json"
    broken.write_text("<html>not found</html>")
    cfg.val_evaluator = [{"type": "CocoMetric", "ann_file": str(broken)}]
    cfg.test_evaluator.ann_file = str(own_root / "coco/annotations/instances_val2018.json")
    text = report(cfg)
    assert text.startswith("2 problems ")
    assert f"val_evaluator[0].ann_file: {broken}\n   found:    not JSON" in text
    assert "test_evaluator.ann_file: " in text
    assert "no such file; " in text
    assert "annotations has instances_val2017.json" in text


def test_each_annotation_file_is_read_once(
    sample_root: Path, configs: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = detection._load

    def counted(path: str) -> object:
        loaded.append(Path(path).name)
        return load(path)

    monkeypatch.setattr(detection, "_load", counted)
    check_datasets(configs["det"](sample_root))
    assert sorted(loaded) == ["instances_train2017.json", "instances_val2017.json"]


def test_data_elsewhere_are_left_out_with_a_word(
    tmp_path: Path, configs: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(sources, "print_log", lambda message, *_: said.append(message))
    cfg = configs["seg"](tmp_path)
    cfg.train_dataloader.dataset.data_root = "s3://bucket/ade"
    cfg.val_dataloader.dataset.backend_args = {"backend": "petrel"}
    check_datasets(cfg, ("train", "val"))
    assert said == [
        f"{loader}_dataloader.dataset: not on a local disk, its files are not checked"
        for loader in ("train", "val")
    ]


def test_data_sets_with_ways_of_their_own_are_checked_for_existence(tmp_path: Path) -> None:
    dataset = {
        "type": "CUB",
        "data_root": str(tmp_path),
        "data_prefix": {"img_path": "images"},
    }
    cfg = Config({"default_scope": "mmpretrain", "train_dataloader": {"dataset": dataset}})
    assert "train_dataloader.dataset.data_prefix.img_path: " in report(cfg)
    (tmp_path / "images").mkdir()
    check_datasets(cfg)


def test_a_class_that_nobody_registered_is_left_to_the_framework(tmp_path: Path) -> None:
    dataset = {"type": "Unheard", "data_root": str(tmp_path), "ann_file": "a.json"}
    cfg = Config({"default_scope": "mmdet", "train_dataloader": {"dataset": dataset}})
    assert "train_dataloader.dataset.ann_file: " in report(cfg)
    (tmp_path / "a.json").touch()
    check_datasets(cfg)
