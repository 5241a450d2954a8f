"""CUB-200-2011 from its archive, whole and damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mmpretrain.datasets import CUB

from mmvan.data.prepare.cub200 import CUB200
from mmvan.data.prepare.dataset import Count, Options, prepare
from mmvan.errors import DataError
from tests.data.prepare.making import encoded_image, tarred, write

SMALL = replace(CUB200, counts=(Count("images", 4, 2),))
NAMES = [f"{c:03d}.Bird_{c}/Bird_{c}_{n}.jpg" for c in (1, 2) for n in (1, 2)]
TOP = "CUB_200_2011"


def archive() -> bytes:
    files = {f"{TOP}/images/{name}": encoded_image(i) for i, name in enumerate(NAMES)}
    tables = {
        "images": NAMES,
        "image_class_labels": ["1", "1", "2", "2"],
        "train_test_split": ["1", "0", "1", "0"],
    }
    for table, words in tables.items():
        lines = (f"{number} {word}\n" for number, word in enumerate(words, 1))
        files[f"{TOP}/{table}.txt"] = "".join(lines).encode()
    return tarred(files | {"attributes.txt": b""}, "w:gz")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    write(tmp_path, {f"{TOP}.tgz": archive()})
    told = prepare(SMALL, Options(tmp_path / TOP, (tmp_path / f"{TOP}.tgz",)))
    assert "7 files placed, 0 there already, 1 not needed" in told
    return tmp_path / TOP


def refusal(target: Path) -> str:
    with pytest.raises(DataError) as caught:
        prepare(SMALL, Options(target))
    return str(caught.value)


def test_the_published_numbers() -> None:
    assert CUB200.counts == (Count("images", 11788, 200),)


def test_the_archive_becomes_what_mmpretrain_reads(target: Path) -> None:
    for split in ("train", "test"):
        data = CUB(str(target), split)
        infos = [data.get_data_info(index) for index in range(len(data))]
        assert [info["gt_label"] for info in infos] == [0, 1]
        assert all(Path(info["img_path"]).is_file() for info in infos)


def test_what_is_wrong_is_told_at_once(target: Path) -> None:
    (target / "images" / NAMES[0]).unlink()
    (target / "images" / NAMES[1]).write_bytes(b"x")
    (target / "image_class_labels.txt").write_text("1 1\n2 201\n3 2\n5 2\n")
    text = refusal(target)
    assert "2 images that are not in all tables, by number: 4, 5" in text
    assert "1 wrong lines: 2 201" in text
    assert f"1 of 4 images missing: {NAMES[0]}" in text
    assert "Bird_1_2.jpg: cannot be decoded" in text
    assert "found:    3 files in 2 folders\n   expected: 4 files in 2 folders" in text


def test_missing_tables(target: Path) -> None:
    (target / "images.txt").unlink()
    (target / "train_test_split.txt").unlink()
    assert "2 tables missing: images.txt, train_test_split.txt" in refusal(target)
