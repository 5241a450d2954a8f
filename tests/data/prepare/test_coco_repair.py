"""Repairs of COCO files: the right values, and nothing where there is doubt."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mmvan.data.check.detection import read_form
from mmvan.data.prepare.coco_repair import read_any_unicode, repair
from mmvan.data.prepare.custom import Choice
from mmvan.data.prepare.custom_coco import prepare_coco
from mmvan.data.prepare.dataset import Options
from mmvan.errors import DataError
from tests.data.check.malformed import malformed_coco, sound_coco
from tests.data.prepare.making import encoded_image, write

POLYGON = [4, 6, 24, 6, 24, 22, 4, 22]
NAN = float("nan")
GONE = object()


@pytest.mark.parametrize(
    ("field", "broken", "right"),
    (
        ("iscrowd", GONE, 0),
        ("iscrowd", None, 0),
        ("iscrowd", True, 1),
        ("iscrowd", "0", 0),
        ("area", GONE, 320.0),
        ("area", NAN, 320.0),
        ("area", "64.5", 64.5),
        ("id", GONE, 9),
        ("id", "1", 1),
        ("id", 0, 9),
        ("id", 2, 2),
        ("image_id", "1", 1),
        ("category_id", 1.0, 1),
        ("bbox", GONE, [4, 6, 20, 16]),
        ("bbox", [4, NAN, 20, 16], [4, 6, 20, 16]),
        ("bbox", ["4", "6.5", 20, 16], [4, 6.5, 20, 16]),
        ("bbox", [-4, 6, 20, 16], [0, 6, 16, 16]),
        ("bbox", [30, 30, 40, 40], [30, 30, 18, 10]),
        ("segmentation", POLYGON, [POLYGON]),
        ("segmentation", [[[4, 6], [24, 6], [24, 22]]], [[4, 6, 24, 6, 24, 22]]),
        ("segmentation", [[1, 1, 2, 2], POLYGON], [POLYGON]),
        ("segmentation", [POLYGON, []], [POLYGON]),
    ),
)
def test_what_has_one_meaning(field: str, broken: Any, right: Any) -> None:
    content = sound_coco()
    if broken is GONE:
        del content["annotations"][0][field]
    else:
        content["annotations"][0][field] = broken
    done = repair(content)
    assert content["annotations"][0][field] == right
    assert done.total() == 1
    form = read_form(content)
    assert not form.faults
    assert not form.stray
    assert not repair(content)


@pytest.mark.parametrize(
    "change",
    (
        {"image_id": 99},
        {"category_id": "nut"},
        {"category_id": 1.5},
        {"segmentation": []},
        {"segmentation": [POLYGON[:-1]]},
        {"segmentation": [[4, NAN, *POLYGON[2:]]]},
        {"bbox": [100, 6, 20, 16]},
    ),
)
def test_what_is_in_doubt_is_left(change: dict[str, Any]) -> None:
    content = sound_coco()
    content["annotations"][0].update(change)
    before = json.dumps(content)
    assert not repair(content)
    assert json.dumps(content) == before


def test_copies_of_an_entry_are_left_out_and_other_entries_get_new_numbers() -> None:
    content = sound_coco()
    copied = copy.deepcopy(content["annotations"][3])
    content["annotations"] += [copied, {**copied, "category_id": 2}]
    content["images"].append(copy.deepcopy(content["images"][0]))
    done = repair(content)
    assert done == {
        "annotations: copies of other entries left out": 1,
        "images: copies of other entries left out": 1,
        "annotations: new id": 1,
    }
    assert [entry["id"] for entry in content["annotations"]] == [*range(1, 9), 9]
    assert len(content["images"]) == 4


@pytest.mark.parametrize("seed", range(2))
def test_no_malformed_file_makes_it_fail(seed: int, tmp_path: Path) -> None:
    repaired = 0
    for case in malformed_coco(seed):
        (tmp_path / "coco.json").write_bytes(case.content)
        try:
            content, done = read_any_unicode(tmp_path / "coco.json")
        except DataError:  # one that is no JSON
            continue
        done += repair(content)
        repaired += bool(done)
        assert not repair(content)
    assert repaired > 20


@pytest.mark.parametrize("encoding", ("utf-8-sig", "utf-16", "utf-32"))
def test_encodings(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "coco.json"
    file.write_bytes(json.dumps(sound_coco()).encode(encoding))
    content, done = read_any_unicode(file)
    assert content == sound_coco()
    assert list(done) == [f"{encoding} written as plain UTF-8"]


def test_a_corrected_copy_is_written_and_the_original_kept(tmp_path: Path) -> None:
    images = {f"{n}.png": encoded_image(n, 48, 40) for n in range(4)}
    source = write(tmp_path / "source", images)
    broken = sound_coco()
    for entry in broken["annotations"]:
        del entry["iscrowd"]
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(broken))
    options = Options(tmp_path / "parts", (source,))
    with pytest.raises(DataError, match="iscrowd; expected 0 or 1"):
        prepare_coco(Options(tmp_path / "other", (source,), partial=True), [file], Choice())
    told = prepare_coco(
        Options(options.target, (source,), partial=True), [file], Choice(), repaired=True
    )
    assert told.startswith(f"{file}: repaired: annotations: iscrowd set to 0: 8\n3 images to train")
    assert json.loads(file.read_text()) == broken
    written = json.loads((options.target / "annotations/instances_train.json").read_text())
    assert {entry["iscrowd"] for entry in written["annotations"]} == {0}
