"""Custom images and label maps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from PIL import ExifTags, Image

from mmvan.data.prepare.custom import Choice
from mmvan.data.prepare.custom_masks import prepare_masks
from mmvan.data.prepare.dataset import Options
from mmvan.errors import DataError
from tests.data.prepare.making import encoded_image, label_map, tree, write

CLASSES = ("sky", "road", "tree")


def made(root: Path, count: int = 5, folders: tuple[str, ...] = ("",), labels: int = 3) -> Path:
    for folder in folders:
        for number in range(count):
            write(root / "images" / folder, {f"{number}.jpg": encoded_image(number)})
            write(root / "maps" / folder, {f"{number}.png": label_map(labels)})
    return root


def run(source: Path, target: Path, choice: Choice | None = None) -> str:
    options = Options(target, (source / "images",))
    return prepare_masks(options, [source / "maps"], CLASSES, choice or Choice())


def test_pairs_are_divided(tmp_path: Path) -> None:
    told = run(made(tmp_path / "source"), tmp_path / "roads", Choice(0.4))
    assert told.startswith("3 images to train on, 2 to validate; 3 classes: sky, road, tree\n")
    cfg = Config.fromfile(tmp_path / "roads/van_b_roads.py")
    sizes = []
    for loader in ("train", "val"):
        options = cfg[f"{loader}_dataloader"].dataset
        leave = ("type", "pipeline")
        data = BaseSegDataset(**{key: options[key] for key in options if key not in leave})
        infos = [data.get_data_info(index) for index in range(len(data))]
        sizes.append(len(infos))
        for info in infos:
            assert Path(info["img_path"]).stem == Path(info["seg_map_path"]).stem
            assert Path(info["seg_map_path"]).is_file()
            assert info["reduce_zero_label"] is False
    assert sizes == [3, 2]


def test_given_splits_and_deeper_folders_are_kept(tmp_path: Path) -> None:
    folders = ("train/a", "train/b", "val/a")
    run(made(tmp_path / "source", 2, folders), tmp_path / "roads")
    assert len(tree(tmp_path / "roads/images/train")) == 4
    assert tree(tmp_path / "roads/annotations/val") == ["a/0.png", "a/1.png"]


def test_what_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    source = made(tmp_path / "source", 2, ("train", "val"))
    (source / "maps/train/0.png").unlink()
    write(source, {"maps/train/1.png": label_map(9), "images/val/0.jpg": b"x"})
    with pytest.raises(DataError) as caught:
        run(source, tmp_path / "roads")
    text = str(caught.value)
    assert "1 files missing: 0.png" in text
    assert "1.png: values 3, 4, 5, 6, 7, 8; expected 0 to 2, or 255 to ignore" in text
    assert "0.jpg: cannot be decoded" in text
    assert list((tmp_path / "roads").glob("*.py")) == []


def test_another_seed_into_the_same_target(tmp_path: Path) -> None:
    source = made(tmp_path / "source")
    run(source, tmp_path / "roads", Choice(0.4, 0))
    with pytest.raises(DataError, match=r"files that are not of this run: annotations/"):
        run(source, tmp_path / "roads", Choice(0.4, 3))


def test_images_with_several_endings(tmp_path: Path) -> None:
    source = made(tmp_path / "source")
    write(source, {"images/x.jpeg": encoded_image()})
    with pytest.raises(DataError, match=r"images that end in \.jpeg, \.jpg\."):
        run(source, tmp_path / "roads")


def test_one_image_cannot_be_divided(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two images or more"):
        run(made(tmp_path / "source", 1), tmp_path / "roads")


def turned_pair(root: Path, *, as_stored: bool) -> None:
    """An image that EXIF turns by a quarter, and its label map drawn as stored or as seen."""
    labels = np.arange(40 * 32, dtype=np.uint8).reshape(32, 40) % 3
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = Image.open(io.BytesIO(encoded_image(1)))
    image.save(root / "images/1.jpg", exif=exif)
    seen = labels if as_stored else np.rot90(labels, -1)
    Image.fromarray(np.ascontiguousarray(seen)).save(root / "maps/1.png")


@pytest.mark.parametrize("as_stored", (False, True))
def test_maps_of_turned_images_are_upright_or_are_made_so(as_stored: bool, tmp_path: Path) -> None:
    source = made(tmp_path / "source", 3)
    turned_pair(source, as_stored=as_stored)
    if as_stored:
        refused = Options(tmp_path / "refused", (source / "images",))
        with pytest.raises(DataError, match="--maps-as-stored turns such maps"):
            prepare_masks(refused, [source / "maps"], CLASSES, Choice(0.4))
    options = Options(tmp_path / "roads", (source / "images",))
    prepare_masks(options, [source / "maps"], CLASSES, Choice(0.4), as_stored)
    (found,) = (tmp_path / "roads/annotations").rglob("1.png")
    labels = np.arange(40 * 32, dtype=np.uint8).reshape(32, 40) % 3
    assert np.array_equal(np.asarray(Image.open(found)), np.rot90(labels, -1))
