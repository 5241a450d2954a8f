"""What label maps may hold, and where they are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmvan.data.check.datasets import find_problems
from mmvan.data.check.detection import CocoFiles
from mmvan.data.check.label_maps import (
    Labels,
    label_values,
    labels_of,
    never_occurring,
    value_problems,
)
from mmvan.data.check.sources import find_sources

NAMES = ("sky", "road", "tree")


def dataset(root: Path, maps: int, **options: object) -> Config:
    for folder in ("images", "maps"):
        (root / folder).mkdir()
    for number in range(maps):
        Image.new("RGB", (8, 6)).save(root / f"images/{number:03d}.jpg")
        Image.new("L", (8, 6), number % 3).save(root / f"maps/{number:03d}.png")
    data = {
        "type": "BaseSegDataset",
        "data_prefix": {"img_path": str(root / "images"), "seg_map_path": str(root / "maps")},
        **options,
    }
    model = {"decode_head": {"type": "FPNHead", "num_classes": 3}}
    return Config({"default_scope": "mmseg", "model": model, "train_dataloader": {"dataset": data}})


@pytest.mark.parametrize(
    ("labels", "unknown", "text"),
    (
        (Labels(NAMES), [3, 254], "0 to 2, or 255 to ignore"),
        (Labels(NAMES, reduced=True), [254], "0 for no class, 1 to 3, or 255 to ignore"),
        (Labels(NAMES, ignored=254), [3, 255], "0 to 2, or 254 to ignore"),
    ),
)
def test_labels_that_stand_for_nothing(labels: Labels, unknown: list[int], text: str) -> None:
    assert labels.unknown({0, 2, 3, 254, 255}) == unknown
    assert str(labels) == text


def test_classes_that_never_occur_are_named_with_their_labels() -> None:
    values = [frozenset({0, 1}), frozenset({1, 255})]
    assert never_occurring(Labels(NAMES), values) == ["tree (2)"]
    assert never_occurring(Labels(NAMES, reduced=True), values) == ["road (2)", "tree (3)"]


def test_a_part_of_the_maps_does_not_tell_that_zero_is_reduced_by_mistake() -> None:
    values = [frozenset({0, 1, 2})]
    reduced = Labels(NAMES, reduced=True)
    assert not list(value_problems("key", "maps", reduced, values, whole=False))
    (problem,) = value_problems("key", "maps", reduced, values)
    assert "take tree, which never occurs, out of the classes" in problem.fix


def test_maps_are_chosen_evenly_and_no_more_than_asked_for(tmp_path: Path) -> None:
    cfg = dataset(tmp_path, 9, metainfo={"classes": NAMES})
    for number in (4, 5):
        Image.new("L", (8, 6), 7).save(tmp_path / f"maps/{number:03d}.png")
    (problem,) = find_problems(cfg, ("train",), CocoFiles(max_decoded=3))
    assert problem.found == "1 of 3 decoded label maps cannot be right"
    assert problem.items == ("004.png: labels 7; expected 0 to 2, or 255 to ignore",)
    assert not find_problems(cfg, ("train",), CocoFiles(max_decoded=0))


def test_without_names_the_head_says_how_many_classes_there_are(tmp_path: Path) -> None:
    cfg = dataset(tmp_path, 3)
    assert not find_problems(cfg, ("train",))
    cfg.model.decode_head.num_classes = 2
    (problem,) = find_problems(cfg, ("train",))
    assert problem.items == ("002.png: labels 2; expected 0 to 1, or 255 to ignore",)
    assert "name all 3 classes" in problem.fix


def test_files_have_the_labels_of_the_dataset_class_where_a_config_chooses_classes(
    tmp_path: Path,
) -> None:
    cfg = dataset(tmp_path, 0, type="CityscapesDataset", metainfo={"classes": ("road", "car")})
    (source,) = find_sources(cfg, "train")
    labels = labels_of(source, 2)
    assert labels
    assert labels.largest == 18


def test_the_size_is_that_of_the_upright_image(tmp_path: Path) -> None:
    cfg = dataset(tmp_path, 3, metainfo={"classes": NAMES})
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (6, 8)).save(tmp_path / "images/001.jpg", exif=turned)
    assert not find_problems(cfg, ("train",))
    Image.new("RGB", (8, 6)).save(tmp_path / "images/001.jpg", exif=turned)
    (problem,) = find_problems(cfg, ("train",))
    assert problem.items == ("001.png: 8 x 6 pixels, but 001.jpg 6 x 8",)


def test_values_of_files_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "wide.png")
    (tmp_path / "text.png").write_text("labels")
    paths = [tmp_path / "wide.png", tmp_path / "text.png", tmp_path / "none.png"]
    assert label_values(paths, 2) == [{0, 300}, frozenset(), frozenset()]
