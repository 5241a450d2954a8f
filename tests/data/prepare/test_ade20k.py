"""ADE20K from its archive, whole and damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mmseg.datasets import ADE20KDataset

from mmvan.data.prepare.ade20k import ADE20K, LABELS
from mmvan.data.prepare.dataset import Count, Options, prepare
from mmvan.errors import DataError
from tests.data.prepare.making import encoded_image, label_map, tree, write, zipped

TOP = "ADEChallengeData2016"
SPLITS = {"training": 3, "validation": 1}
COUNTS = tuple(
    Count(f"{kind}/{split}", number)
    for split, number in SPLITS.items()
    for kind in ("images", "annotations")
)
SMALL = replace(ADE20K, counts=COUNTS)


def archive() -> bytes:
    files = {f"{TOP}/objectInfo150.txt": b"Idx\n", f"{TOP}/other.txt": b""}
    for split, number in SPLITS.items():
        for i in range(number):
            files[f"{TOP}/images/{split}/ADE_{i:08d}.jpg"] = encoded_image(i)
            files[f"{TOP}/annotations/{split}/ADE_{i:08d}.png"] = label_map(LABELS)
    return zipped(files)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    write(tmp_path, {f"{TOP}.zip": archive()})
    told = prepare(SMALL, Options(tmp_path / "ade", (tmp_path / f"{TOP}.zip",)))
    assert "9 files placed, 0 there already, 1 not needed" in told
    return tmp_path / "ade"


def refusal(target: Path) -> str:
    with pytest.raises(DataError) as caught:
        prepare(SMALL, Options(target))
    return str(caught.value)


def test_the_published_numbers() -> None:
    assert [count.files for count in ADE20K.counts] == [20210, 20210, 2000, 2000]


def test_the_archive_becomes_what_mmseg_reads(target: Path) -> None:
    assert len(tree(target)) == 9
    prefix = {"img_path": "images/training", "seg_map_path": "annotations/training"}
    data = ADE20KDataset(data_root=str(target), data_prefix=prefix)
    infos = [data.get_data_info(index) for index in range(len(data))]
    assert len(infos) == 3
    assert all(Path(info[key]).is_file() for info in infos for key in ("img_path", "seg_map_path"))


def test_what_is_wrong_is_told_at_once(target: Path) -> None:
    folder = target / "annotations/training"
    (folder / "ADE_00000000.png").write_bytes(label_map(LABELS + 2))
    (folder / "ADE_00000001.png").unlink()
    (target / "images/training/ADE_00000002.jpg").write_bytes(b"x")
    text = refusal(target)
    assert "ADE_00000000.png: values 151, 152; expected 0 to 150, or 255 to ignore" in text
    assert "1 files missing: ADE_00000001.png" in text
    assert "ADE_00000002.jpg: cannot be decoded" in text
    assert "found:    2 files\n   expected: 3 files" in text
