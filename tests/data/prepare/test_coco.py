"""COCO from its archives, whole and damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, CocoPanopticDataset

from mmvan.data.prepare.coco import COCO
from mmvan.data.prepare.dataset import Count, Options, prepare
from mmvan.errors import DataError
from tests.data.prepare.making import coloured, encoded_image, tree, write, zipped

SMALL = replace(COCO, counts=(Count("train2017", 2), Count("val2017", 2)))
THINGS = CocoDataset.METAINFO["classes"]
ALL = CocoPanopticDataset.METAINFO["classes"]
WIDTH, HEIGHT = 40, 32


def instances(images: list[dict[str, Any]]) -> bytes:
    """An object of every class in the first image, so that all can be trained on."""
    annotation = {"bbox": [0, 0, 8, 8], "area": 64, "iscrowd": 0, "image_id": images[0]["id"]}
    annotation["segmentation"] = [[0, 0, 8, 0, 8, 8, 0, 8]]
    annotations = [
        {**annotation, "id": number, "category_id": number} for number in range(1, len(THINGS) + 1)
    ]
    return _annotation_file(images, annotations, THINGS)


def panoptic(images: list[dict[str, Any]]) -> bytes:
    segments = [
        {"id": number, "category_id": number, "bbox": [0, 0, 8, 8], "area": 64, "iscrowd": 0}
        for number in range(1, len(ALL) + 1)
    ]
    annotations = [
        {
            "image_id": image["id"],
            "file_name": image["file_name"].replace("jpg", "png"),
            "segments_info": segments,
        }
        for image in images
    ]
    return _annotation_file(images, annotations, ALL)


def _annotation_file(images: Any, annotations: Any, names: tuple[str, ...]) -> bytes:
    categories = [
        {"id": number, "name": name, "isthing": int(name in THINGS)}
        for number, name in enumerate(names, 1)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content).encode()


def archives() -> dict[str, bytes]:
    """The four archives of 2017; that of the panoptic maps has archives inside."""
    pixels = np.zeros((HEIGHT, WIDTH, 3))
    pixels.reshape(-1, 3)[: len(ALL), 0] = np.arange(1, len(ALL) + 1)
    made, plain, maps = {}, {}, {}
    for first, split in ((1, "train2017"), (7, "val2017")):
        images = [
            {"id": n, "file_name": f"{n:012d}.jpg", "width": WIDTH, "height": HEIGHT}
            for n in (first, first + 1)
        ]
        names = [image["file_name"] for image in images]
        made[f"{split}.zip"] = zipped({f"{split}/{name}": encoded_image() for name in names})
        plain[f"annotations/instances_{split}.json"] = instances(images)
        plain[f"annotations/captions_{split}.json"] = b"{}"
        pngs = {f"panoptic_{split}/{n}".replace("jpg", "png"): coloured(pixels) for n in names}
        maps[f"annotations/panoptic_{split}.json"] = panoptic(images)
        maps[f"annotations/panoptic_{split}.zip"] = zipped(pngs)
    return made | {
        "annotations_trainval2017.zip": zipped(plain),
        "panoptic_annotations_trainval2017.zip": zipped(maps),
    }


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("downloads"), archives())


def refusal(options: Options) -> str:
    with pytest.raises(DataError) as caught:
        prepare(SMALL, options)
    return str(caught.value)


def test_the_published_numbers() -> None:
    assert [(c.folder, c.files) for c in COCO.counts] == [("train2017", 118287), ("val2017", 5000)]


def test_archives_become_what_mmdet_reads(downloads: Path, tmp_path: Path) -> None:
    told = prepare(SMALL, Options(tmp_path, (downloads,)))
    assert "12 files placed, 0 there already, 2 not needed" in told
    assert "van_b_mask2former_panoptic" in told
    assert tree(tmp_path / "annotations") == [
        "instances_train2017.json",
        "instances_val2017.json",
        "panoptic_train2017.json",
        "panoptic_train2017/000000000001.png",
        "panoptic_train2017/000000000002.png",
        "panoptic_val2017.json",
        "panoptic_val2017/000000000007.png",
        "panoptic_val2017/000000000008.png",
    ]
    prefix = {"img": "val2017/", "seg": "annotations/panoptic_val2017/"}
    data = CocoPanopticDataset(
        data_root=str(tmp_path),
        ann_file="annotations/panoptic_val2017.json",
        data_prefix=prefix,
        test_mode=True,
    )
    infos = [data.get_data_info(index) for index in range(len(data))]
    assert len(infos) == 2
    assert all(Path(info[key]).is_file() for info in infos for key in ("img_path", "seg_map_path"))


def test_without_panoptic_archives(downloads: Path, tmp_path: Path) -> None:
    names = ("train2017.zip", "val2017.zip", "annotations_trainval2017.zip")
    told = prepare(SMALL, Options(tmp_path, tuple(downloads / name for name in names)))
    assert "panoptic segmentation needs panoptic_annotations_trainval2017.zip" in told


def test_what_is_wrong_is_told_at_once(downloads: Path, tmp_path: Path) -> None:
    prepare(SMALL, Options(tmp_path, (downloads,)))
    (tmp_path / "annotations/panoptic_train2017/000000000001.png").unlink()
    (tmp_path / "val2017/000000000007.jpg").write_bytes(encoded_image()[:400])
    wrong = tmp_path / "annotations/panoptic_val2017/000000000008.png"
    wrong.write_bytes(coloured(np.full((HEIGHT, WIDTH, 3), 1)))
    file = tmp_path / "annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"].append({**content["images"][0], "id": 3, "file_name": "none.jpg"})
    content["annotations"].append({**content["annotations"][0], "id": 99, "image_id": 4})
    file.write_text(json.dumps(content))
    text = refusal(Options(tmp_path))
    for expected in (
        "1 of 3 images missing: none.jpg",
        "1 annotations of images or categories that the file lacks: annotations[80] with image_id",
        "000000000007.jpg: cannot be decoded: ",
        "PNGs missing: 000000000001.png",
        "000000000008.png: no pixel of segment 1, 2, 3, 4, 5 and 128 more",
    ):
        assert expected in text
    assert text.startswith("5 problems ")
