"""Panoptic datasets with missing and foreign PNG files, and with unknown categories."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmvan.data.check import DataError, check_datasets, detection
from mmvan.data.check.panoptic import segment_problems
from mmvan.data.check.sources import find_sources
from mmvan.data.panoptic import encode_ids


@pytest.fixture
def cfg(own_root: Path, configs: dict[str, Callable[[Path], Config]]) -> Config:
    return configs["pan"](own_root)


def report(cfg: Config, loader: str = "train") -> str:
    with pytest.raises(DataError) as caught:
        check_datasets(cfg, (loader,))
    return str(caught.value)


def annotations(cfg: Config) -> Path:
    dataset = cfg.train_dataloader.dataset
    return Path(dataset.data_root) / dataset.ann_file


def pngs(cfg: Config) -> list[Path]:
    dataset = cfg.train_dataloader.dataset
    return sorted((Path(dataset.data_root) / dataset.data_prefix.seg).iterdir())


def edit(cfg: Config, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(annotations(cfg).read_text())
    change(content)
    annotations(cfg).write_text(json.dumps(content))


def test_missing_pngs_are_counted_and_the_first_twenty_named(cfg: Config) -> None:
    for path in pngs(cfg)[:22]:
        path.unlink()
    text = report(cfg)
    names = ", ".join(f"{number:012d}.png" for number in range(1, 21))
    assert text.startswith("1 problem ")
    assert "1. train_dataloader.dataset.data_prefix.seg: " in text
    assert f"found:    22 of 24 panoptic PNGs missing: {names} and 2 more\n" in text
    assert f"a PNG for every image with annotations in {annotations(cfg)}" in text


def test_everything_wrong_with_the_files_is_told_at_once(cfg: Config) -> None:
    gone, empty, foreign, broken, *_ = pngs(cfg)
    gone.unlink()
    height, width = np.asarray(Image.open(empty)).shape[:2]
    Image.fromarray(encode_ids(np.zeros((height, width), np.int32))).save(empty)
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(foreign)
    broken.write_bytes(b"<html>")
    edit(cfg, lambda content: content["annotations"][7]["segments_info"][1].update(category_id=77))
    edit(cfg, lambda content: content["annotations"][8].update(image_id=5000))
    text = report(cfg)
    assert text.startswith("3 problems ")
    assert "annotations[7].segments_info[1] with category_id 77" in text
    assert "annotations[8].segments_info[0] with image_id 5000" in text
    assert "1 of 23 panoptic PNGs missing: 000000000001.png\n" in text
    assert "3 of 22 decoded PNGs do not fit their annotations: " in text
    assert "000000000002.png (no pixel of segment 70001, 140002" in text
    assert "000000000003.png (9 x 8 pixels, not " in text
    assert "000000000004.png (no image)" in text
    assert "PNGs and annotations again: both must be of one release" in text


def test_the_decoded_files_are_spread_over_all(cfg: Config) -> None:
    (source,) = find_sources(cfg, "train")
    images = detection.CocoFiles().read(source.ann_file).segmented
    assert images is not None
    for path in pngs(cfg)[::23]:  # the first and the last
        path.write_bytes(b"")
    for most in (2, 5, 200):
        (problem,) = segment_problems(source, images, max_decoded=most)
        assert problem.found.startswith(f"2 of {min(most, 24)} decoded PNGs")
        assert [item[:12] for item in problem.items] == ["000000000001", "000000000024"]


def test_no_folder_of_pngs_is_told(cfg: Config) -> None:
    cfg.train_dataloader.dataset.data_prefix.pop("seg")
    text = report(cfg)
    assert "train_dataloader.dataset.data_prefix.seg: not set" in text
    assert "the folder of the PNG files with the segments" in text


def test_a_missing_folder_of_pngs_lists_what_is_there(cfg: Config) -> None:
    shutil.rmtree(pngs(cfg)[0].parent)
    text = report(cfg)
    assert "train_dataloader.dataset.data_prefix.seg: " in text
    assert "no such directory; " in text
    assert "panoptic_val2017" in text


def test_the_wrong_kind_of_file_is_told(
    cfg: Config, own_root: Path, configs: dict[str, Callable[[Path], Config]]
) -> None:
    cfg.train_dataloader.dataset.ann_file = "annotations/instances_train2017.json"
    text = report(cfg)
    assert "found:    annotations without segments_info\n" in text
    assert "expected: a panoptic annotation file\n" in text
    other = configs["det"](own_root)
    other.train_dataloader.dataset.ann_file = "annotations/panoptic_train2017.json"
    text = report(other)
    assert "found:    panoptic annotations\n" in text
    assert "CocoPanopticDataset for panoptic files and no others" in text


@pytest.mark.parametrize(
    ("change", "message"),
    (
        (lambda c: c["categories"][6].pop("isthing"), "has no isthing; expected 0 or 1"),
        (lambda c: c["annotations"][3].pop("image_id"), "annotations[3] has no image_id"),
        (
            lambda c: c["annotations"][3]["segments_info"][0].pop("bbox"),
            ".segments_info[0] (id ",
        ),
        (
            lambda c: c["annotations"][3].update(segments_info={}),
            "annotations[3] has segments_info {}; expected a list of segments",
        ),
    ),
)
def test_a_missing_field_is_named(
    cfg: Config, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(cfg, change)
    assert message in report(cfg)


def test_a_category_without_segments_is_named(cfg: Config) -> None:
    def drop_water(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            kept = [s for s in entry["segments_info"] if s["category_id"] != 187]
            entry["segments_info"] = kept

    edit(cfg, drop_water)
    assert "categories without any image: water" in report(cfg)
    cfg.allow_empty_categories = True
    check_datasets(cfg, ("train",))
