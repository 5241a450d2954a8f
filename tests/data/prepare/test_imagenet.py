"""ImageNet from its archives and from trees, into class folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mmpretrain.datasets import ImageNet

from mmvan.data.prepare.dataset import Count, Options, prepare
from mmvan.data.prepare.imagenet import IMAGENET
from mmvan.data.prepare.imagenet_labels import image_name
from mmvan.errors import DataError
from tests.data.prepare.imagenet_devkit import LABELS, WNIDS, archives
from tests.data.prepare.making import encoded_image, tree, write

SMALL = replace(IMAGENET, counts=(Count("train", 6, 3), Count("val", 6, 3)))
VAL = [f"{label}/{image_name(number)}.JPEG" for number, label in enumerate(LABELS, 1)]


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("downloads"), archives())


def refusal(options: Options) -> str:
    with pytest.raises(DataError) as caught:
        prepare(SMALL, options)
    return str(caught.value)


def test_the_published_numbers() -> None:
    assert [(c.folder, c.files, c.folders) for c in IMAGENET.counts] == [
        ("train", 1281167, 1000),
        ("val", 50000, 1000),
    ]


def test_archives_become_what_mmpretrain_reads(downloads: Path, tmp_path: Path) -> None:
    told = prepare(SMALL, Options(tmp_path, (downloads,)))
    assert "12 files placed" in told
    assert tree(tmp_path / "val") == sorted(VAL)
    assert len(tree(tmp_path / "train")) == 6
    classes = {"classes": WNIDS}
    for lists in (True, False):
        for split in ("train", "val"):
            data = ImageNet(str(tmp_path), split, metainfo=classes)
            assert len(data) == 6
            for info in map(data.get_data_info, range(6)):
                path = Path(info["img_path"])
                assert path.is_file()
                assert sorted(WNIDS)[info["gt_label"]] == path.parent.name
            assert bool(data.ann_file) == lists
            (tmp_path / "meta" / f"{split}.txt").unlink(missing_ok=True)


def test_a_second_run_keeps_everything(downloads: Path, tmp_path: Path) -> None:
    prepare(SMALL, Options(tmp_path, (downloads,)))
    assert "0 files placed, 12 there already" in prepare(SMALL, Options(tmp_path, (downloads,)))
    assert "0 files placed, 0 there already" in prepare(SMALL, Options(tmp_path))


def test_flat_images_in_the_target_itself_move_into_folders(
    downloads: Path, tmp_path: Path
) -> None:
    target = tmp_path / "imagenet"
    write(target, {f"val/{Path(name).name}": encoded_image() for name in VAL})
    write(target, {f"train/{w}/{w}_{n}.JPEG": encoded_image(n) for w in WNIDS for n in range(2)})
    sources = (target, downloads / "ILSVRC2012_devkit_t12.tar.gz")
    prepare(SMALL, Options(target, sources, link="move"))
    assert tree(target / "val") == sorted(VAL)


def test_a_tree_with_class_folders_needs_no_labels(downloads: Path, tmp_path: Path) -> None:
    prepare(SMALL, Options(tmp_path / "one", (downloads,)))
    prepare(SMALL, Options(tmp_path / "two", (tmp_path / "one",)))
    assert tree(tmp_path / "two/val") == sorted(VAL)


def test_flat_images_without_labels(downloads: Path, tmp_path: Path) -> None:
    text = refusal(Options(tmp_path, (downloads / "ILSVRC2012_img_val.tar",)))
    assert "ILSVRC2012_val_00000001.JPEG: the class of this validation image is not known" in text
    assert "Add --source ILSVRC2012_devkit_t12.tar.gz" in text


def test_what_is_wrong_is_told_at_once(downloads: Path, tmp_path: Path) -> None:
    prepare(SMALL, Options(tmp_path, (downloads,)))
    (tmp_path / "train/n01440764/n01440764_0.JPEG").write_bytes(b"x")
    (tmp_path / "val/n02100735").rename(tmp_path / "val/n09999999")
    text = refusal(Options(tmp_path))
    assert "2 class folders in one of train and val only: n02100735, n09999999" in text
    assert "n01440764_0.JPEG: cannot be decoded" in text
    assert "2 of 6 images missing" in text  # by meta/val.txt


def test_a_part_is_numbered_by_its_own_folders(downloads: Path, tmp_path: Path) -> None:
    told = prepare(IMAGENET, Options(tmp_path, (downloads,), partial=True))
    assert "A part of the classes is numbered in the order of its folders" in told
    assert not (tmp_path / "meta").exists()
