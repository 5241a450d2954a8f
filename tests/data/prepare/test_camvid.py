"""CamVid in SegNet's form, into label maps that mmseg can train on."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmvan.data.check import check_datasets
from mmvan.data.prepare.camvid import CAMVID, CLASSES, UNLABELLED, ignore_unlabelled
from mmvan.data.prepare.dataset import Count, Options, prepare
from mmvan.errors import DataError
from tests.data.prepare.making import coloured, label_map, tree, write

SPLITS = {"train": 2, "val": 1, "test": 1}
SMALL = replace(
    CAMVID,
    counts=tuple(
        Count(f"{k}/{s}", n) for s, n in SPLITS.items() for k in ("images", "annotations")
    ),
)


def segnet(root: Path, labels: int = UNLABELLED + 1) -> Path:
    for split, number in SPLITS.items():
        for i in range(number):
            pixels = np.full((32, 40, 3), i)
            write(root, {f"CamVid/{split}/{i}.png": coloured(pixels)})
            write(root, {f"CamVid/{split}annot/{i}.png": label_map(labels)})
    return write(root, {"CamVid/train.txt": b""})


def test_the_published_numbers() -> None:
    assert [count.files for count in CAMVID.counts] == [367, 367, 101, 101, 233, 233]
    assert len(CLASSES) == 11


def test_what_has_no_class_becomes_ignored() -> None:
    with Image.open(io.BytesIO(ignore_unlabelled(label_map(12)))) as image:
        assert np.unique(np.asarray(image)).tolist() == [*range(11), 255]


def test_a_tree_becomes_label_maps_and_a_config(tmp_path: Path) -> None:
    target = tmp_path / "camvid"
    told = prepare(SMALL, Options(target, (segnet(tmp_path / "source"),)))
    config = target / "van_b_camvid.py"
    assert told.endswith(f"Train with mmvan train {config}")
    assert len(tree(target)) == 9
    cfg = Config.fromfile(config)
    assert cfg.model.decode_head.num_classes == 11
    assert cfg.train_dataloader.dataset.metainfo.classes == tuple(CLASSES)
    assert cfg.train_dataloader.dataset.metainfo.palette == list(CLASSES.values())
    assert check_datasets(cfg) is None
    again = prepare(SMALL, Options(target, (target,)))
    assert "0 files placed, 8 there already" in again
    assert again.endswith(f"{config} was there already and is kept as it is.")


def test_another_config_and_the_published_size(tmp_path: Path) -> None:
    source = segnet(tmp_path / "source")
    for number in range(2, 367):
        write(source, {f"CamVid/train/{number}.png": coloured(np.zeros((32, 40, 3)))})
        write(source, {f"CamVid/trainannot/{number}.png": label_map(12)})
    target = tmp_path / "camvid"
    options = Options(target, (source,), config="van_t_fpn", partial=True, decode=False)
    told = prepare(CAMVID, options)
    assert told.endswith(f"Train with mmvan train {target}/van_t_fpn_camvid.py")
    cfg = Config.fromfile(target / "van_t_fpn_camvid.py")
    assert cfg.model.backbone.arch == "b0"
    # 100 epochs in batches of 4, instead of ADE20K's 40,000 iterations.
    assert cfg.train_cfg.max_iters == 9200


def test_other_label_maps(tmp_path: Path) -> None:
    source = segnet(tmp_path / "source", labels=32)
    original = np.zeros((32, 40, 3))
    write(source, {"CamVid/valannot/0.png": coloured(original)})
    with pytest.raises(DataError) as caught:
        prepare(SMALL, Options(tmp_path / "camvid", (source,)))
    text = str(caught.value)
    assert "0.png: values 12, 13, 14, " in text
    assert "0.png: of mode RGB; expected one channel of class indices" in text
