"""Custom COCO annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from mmvan.data.prepare.custom import Choice
from mmvan.data.prepare.custom_coco import prepare_coco
from mmvan.data.prepare.dataset import Options
from mmvan.errors import ConfigError, DataError
from tests.data.prepare.making import encoded_image, tree, write

NAMES = ("nut", "bolt")
BOX = {"bbox": [0, 0, 8, 8], "area": 64, "iscrowd": 0}
MASK = {"segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]]}


def content(count: int = 5, masks: bool = True, first: int = 0) -> dict[str, Any]:
    images = [
        {"id": n, "file_name": f"line/{n}.jpg", "width": 40, "height": 32}
        for n in range(first, first + count)
    ]
    annotations = [
        {"id": 10 * image["id"] + c, "image_id": image["id"], "category_id": 7 + c, **BOX}
        | (MASK if masks else {})
        for image in images
        for c in range(len(NAMES))
    ]
    categories = [{"id": 7 + c, "name": name} for c, name in enumerate(NAMES)]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "source", {f"pics/line/{n}.jpg": encoded_image(n) for n in range(8)})


def saved(path: Path, made: dict[str, Any]) -> Path:
    path.write_text(json.dumps(made))
    return path


@pytest.mark.parametrize("masks", (True, False))
def test_one_file_is_divided(tmp_path: Path, source: Path, masks: bool) -> None:
    file = saved(tmp_path / "all.json", content(masks=masks))
    told = prepare_coco(Options(tmp_path / "parts", (source,)), [file], Choice(0.4))
    assert told.startswith("3 images to train on, 2 to validate; 2 classes: nut, bolt\n")
    assert len(tree(tmp_path / "parts/images/line")) == 5
    cfg = Config.fromfile(tmp_path / "parts/van_b_parts.py")
    assert ("mask_head" in cfg.model.get("roi_head", {})) == masks
    objects = 0
    for loader in ("train", "val"):
        options = cfg[f"{loader}_dataloader"].dataset
        keys = ("data_root", "ann_file", "data_prefix", "metainfo")
        data = CocoDataset(**{key: options[key] for key in keys})
        infos = [data.get_data_info(index) for index in range(len(data))]
        objects += sum(len(info["instances"]) for info in infos)
        assert all(Path(info["img_path"]).is_file() for info in infos)
    assert objects == 10


def test_two_files_are_kept(tmp_path: Path, source: Path) -> None:
    files = [saved(tmp_path / "t.json", content()), saved(tmp_path / "v.json", content(3, first=5))]
    options = Options(tmp_path / "parts", (source,))
    told = prepare_coco(options, files, Choice())
    assert told.startswith("5 images to train on, 3 to validate; ")
    written = tmp_path / "parts/annotations/instances_val.json"
    assert json.loads(written.read_text()) == content(3, first=5)
    config = tmp_path / "parts/van_b_parts.py"
    kept = f"\n{config} was there already and is kept as it is."
    assert prepare_coco(options, files, Choice()) == told + kept


def test_what_is_wrong_is_told_at_once(tmp_path: Path, source: Path) -> None:
    made = content(8)
    made["images"].append({**made["images"][0], "id": 50, "file_name": "line/none.jpg"})
    made["annotations"][0] |= {"category_id": 99}
    (source / "pics/line/4.jpg").write_bytes(b"x")
    file = saved(tmp_path / "all.json", made)
    with pytest.raises(DataError) as caught:
        prepare_coco(Options(tmp_path / "parts", (source,)), [file], Choice())
    text = str(caught.value)
    assert "images missing: line/none.jpg" in text
    assert "annotations[0] with category_id 99" in text
    assert "4.jpg: cannot be decoded" in text


def test_a_category_without_objects(tmp_path: Path, source: Path) -> None:
    made = content()
    made["categories"].append({"id": 20, "name": "gear"})
    file = saved(tmp_path / "all.json", made)
    with pytest.raises(DataError, match="categories without any image: gear"):
        prepare_coco(Options(tmp_path / "parts", (source,)), [file], Choice())
    options = Options(tmp_path / "parts", (source,), partial=True)
    assert "3 classes" in prepare_coco(options, [file], Choice())


@pytest.mark.parametrize(
    ("made", "message"),
    (
        ({"images": []}, "no categories among its keys"),
        (content(1), "expected annotations, and two images or more"),
        ({key: value for key, value in content().items() if key != "annotations"}, "annotations"),
    ),
)
def test_files_of_another_form(
    tmp_path: Path, source: Path, made: dict[str, Any], message: str
) -> None:
    file = saved(tmp_path / "all.json", made)
    with pytest.raises(DataError, match=message):
        prepare_coco(Options(tmp_path / "parts", (source,)), [file], Choice())


def test_files_with_different_categories(tmp_path: Path, source: Path) -> None:
    other = content(3, first=5)
    other["categories"].reverse()
    files = [saved(tmp_path / "t.json", content()), saved(tmp_path / "v.json", other)]
    with pytest.raises(DataError, match="different categories: nut, bolt; bolt, nut"):
        prepare_coco(Options(tmp_path / "parts", (source,)), files, Choice())


def test_a_name_that_leads_out(tmp_path: Path) -> None:
    made = content()
    for image in made["images"]:
        image["file_name"] = f"../{image['id']}.jpg"
    source = write(tmp_path / "source", {f"{n}.jpg": encoded_image(n) for n in range(5)})
    file = saved(tmp_path / "all.json", made)
    with pytest.raises(DataError, match=r"5 of .* images missing|images missing: \.\./"):
        prepare_coco(Options(tmp_path / "parts", (source,)), [file], Choice())
    assert not (tmp_path / "parts/0.jpg").exists()


def test_a_file_that_is_not_there(tmp_path: Path, source: Path) -> None:
    with pytest.raises(DataError, match=r"--annotations .*none\.json: no such file"):
        prepare_coco(Options(tmp_path / "p", (source,)), [tmp_path / "none.json"], Choice())


def test_another_config_is_refused_before_anything_is_placed(tmp_path: Path, source: Path) -> None:
    boxes = content()
    for entry in boxes["annotations"]:
        entry.pop("segmentation", None)
    file = saved(tmp_path / "a.json", boxes)
    target = tmp_path / "parts"
    with pytest.raises(ConfigError, match="--config van_t_maskrcnn learns masks"):
        prepare_coco(Options(target, (source,), config="van_t_maskrcnn"), [file], Choice())
    assert not target.exists()
    told = prepare_coco(Options(target, (source,), config="van_t_retinanet"), [file], Choice())
    assert f"Train with mmvan train {target}/van_t_retinanet_parts.py" in told
