"""COCO files that are broken, incomplete, or do not fit the classes of the config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmvan.data.check import DataError, check_datasets

Configs = dict[str, Callable[[Path], Config]]


@pytest.fixture
def cfg(own_root: Path, configs: Configs) -> Config:
    return configs["det"](own_root)


def ann_file(cfg: Config) -> Path:
    dataset = cfg.train_dataloader.dataset
    return Path(dataset.data_root, dataset.ann_file)


def edit(cfg: Config, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(ann_file(cfg).read_text())
    change(content)
    ann_file(cfg).write_text(json.dumps(content))


def report(cfg: Config) -> str:
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, ("train",))
    text = str(caught.value)
    assert text.startswith("1 problem ")
    return text


@pytest.mark.parametrize(
    ("content", "found"),
    (
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>", "not JSON: Expecting value (line 1 column 1); it begins with"),
        (
            b'{"images": [],\n "anno',
            "not JSON: Unterminated string starting at (line 2 column 2)",
        ),
        (
            b"\x1f\x8b\x08\xff\xfe",
            r"not JSON: bytes that are no text; it begins with '\x1f\x8b\x08",
        ),
        (b"[1, 2]", "JSON of type list, not an object"),
        (b"{}", "no images and no categories among its keys: none"),
        (b'{"images": [], "annotations": []}', "no categories among its keys: images, annotations"),
        (b'{"images": [], "categories": []}', "no annotations among its keys"),
        (b'{"images": [], "annotations": [], "categories": []}', "no images in it"),
        (b'{"images": {}, "annotations": [], "categories": []}', "images is of type dict, not a"),
    ),
)
def test_what_is_no_annotation_file(cfg: Config, content: bytes, found: str) -> None:
    ann_file(cfg).write_bytes(content)
    text = report(cfg)
    assert f"train_dataloader.dataset.ann_file: {ann_file(cfg)}\n" in text
    assert f"found:    {found}" in text
    assert "expected: a COCO annotation file: JSON with images, annotations and categories" in text


def test_a_cut_off_file_names_the_place(cfg: Config) -> None:
    whole = ann_file(cfg).read_bytes()
    ann_file(cfg).write_bytes(whole[: len(whole) // 2])
    assert "not JSON: " in (text := report(cfg))
    assert "(line 1 column " in text
    assert """it begins with '{"info": {"description":""" in text


def test_an_annotation_without_a_box_is_named(cfg: Config) -> None:
    edit(cfg, lambda content: content["annotations"][4].pop("bbox"))
    assert "annotations[4] (id 5) has no bbox" in report(cfg)


def test_a_test_set_needs_no_annotations(cfg: Config) -> None:
    edit(cfg, lambda content: content.pop("annotations"))
    cfg.test_dataloader.dataset = cfg.train_dataloader.dataset
    check_datasets(cfg, ("test",))
    assert "no annotations among its keys" in report(cfg)


def test_no_annotation_file_is_named(cfg: Config) -> None:
    del cfg.train_dataloader.dataset["ann_file"]
    assert "train_dataloader.dataset.ann_file: not set" in report(cfg)


def test_a_missing_file_lists_what_is_there(cfg: Config) -> None:
    cfg.train_dataloader.dataset.ann_file = "annotations/instance_train2017.json"
    text = report(cfg)
    assert "no such file; " in text
    assert "annotations has instances_train2017.json" in text


def test_a_missing_image_directory_lists_what_is_there(cfg: Config) -> None:
    cfg.train_dataloader.dataset.data_prefix.img = "train2014/"
    text = report(cfg)
    assert "train_dataloader.dataset.data_prefix.img: " in text
    assert "coco has train2017" in text


def test_missing_images_are_counted_and_named(cfg: Config) -> None:
    folder = Path(cfg.train_dataloader.dataset.data_root) / "train2017"
    for path in sorted(folder.iterdir())[:22]:
        path.unlink()
    text = report(cfg)
    names = ", ".join(f"{number:012d}.jpg" for number in range(1, 21))
    assert f"found:    22 of 24 images missing: {names} and 2 more" in text
    assert f"expected: every image that {ann_file(cfg)} lists" in text


def test_annotations_that_point_to_nothing_are_all_named(cfg: Config) -> None:
    def point_elsewhere(content: dict[str, Any]) -> None:
        content["annotations"][3]["image_id"] = 77
        content["annotations"][5]["category_id"] = 2

    edit(cfg, point_elsewhere)
    text = report(cfg)
    assert "2 annotations of images or categories that the file lacks: " in text
    assert "annotations[3] with image_id 77, annotations[5] with category_id 2" in text


def test_images_in_folders_and_with_dots_in_their_paths_are_found(cfg: Config) -> None:
    folder = Path(cfg.train_dataloader.dataset.data_root) / "train2017"
    (folder / "deep").mkdir()
    for path in list(folder.glob("*.jpg")):
        path.rename(folder / "deep" / path.name)

    def move(content: dict[str, Any]) -> None:
        for index, image in enumerate(content["images"]):
            image["file_name"] = f"{'./' if index % 2 else ''}deep/{image['file_name']}"

    edit(cfg, move)
    check_datasets(cfg, ("train",))
    (folder / "deep" / "000000000002.jpg").unlink()
    assert "1 of 24 images missing: ./deep/000000000002.jpg" in report(cfg)


def test_classes_that_the_file_lacks_come_with_candidates(cfg: Config) -> None:
    cfg.train_dataloader.dataset.metainfo.classes = (
        "striped disk",
        "checkered square",
        "dotted triangle",
        "speckled star",
        "shaded ring",
    )
    text = report(cfg)
    assert "train_dataloader.dataset.metainfo.classes: striped disk not in the file" in text
    assert "the categories of" in text
    assert "for 'striped disk': striped disc" in text


def test_default_classes_of_the_data_set_are_compared_too(cfg: Config) -> None:
    del cfg.train_dataloader.dataset["metainfo"]
    text = report(cfg)
    assert "person, bicycle, car, motorcycle, airplane and 75 more not in the file" in text
    assert "for 'person': striped disc, checkered square" in text


def test_classes_in_another_order_are_refused(cfg: Config) -> None:
    dataset = cfg.train_dataloader.dataset
    dataset.metainfo.classes = tuple(reversed(dataset.metainfo.classes))
    text = report(cfg)
    assert "the same order in both: labels are numbered in the file's order" in text
    assert "order metainfo.classes as in the file" in text


def without(name: str, how: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        number = next(entry["id"] for entry in content["categories"] if entry["name"] == name)
        for annotation in content["annotations"]:
            if annotation["category_id"] == number:
                if how == "other":
                    annotation["category_id"] = content["categories"][0]["id"]
                else:
                    annotation[how] = 0 if how == "area" else 1

    return change


@pytest.mark.parametrize("how", ("other", "iscrowd", "ignore", "area"))
def test_a_category_without_images_is_named(cfg: Config, how: str) -> None:
    edit(cfg, without("speckled star", how))
    text = report(cfg)
    assert "found:    categories without any image: speckled star\n" in text
    assert "an object to train on (no crowd, not empty) for every class of the config" in text
    assert "take the names out of metainfo.classes and num_classes" in text
    assert "--cfg-options allow_empty_categories=True" in text
    cfg.allow_empty_categories = True
    check_datasets(cfg, ("train",))


def test_a_category_may_be_empty_in_evaluation_or_in_one_of_two_sets(cfg: Config) -> None:
    whole = cfg.train_dataloader.dataset.copy()
    other = Path(whole.data_root) / "annotations" / "whole.json"
    other.write_bytes(ann_file(cfg).read_bytes())
    edit(cfg, without("shaded ring", "other"))
    cfg.val_dataloader.dataset = cfg.train_dataloader.dataset
    check_datasets(cfg, ("val",))
    parts = [cfg.train_dataloader.dataset, whole | {"ann_file": "annotations/whole.json"}]
    cfg.train_dataloader.dataset = {"type": "ConcatDataset", "datasets": parts}
    check_datasets(cfg, ("train",))
    cfg.train_dataloader.dataset.datasets.pop()
    assert "categories without any image: shaded ring" in report(cfg)
