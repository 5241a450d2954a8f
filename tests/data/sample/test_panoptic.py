"""The panoptic files: every pixel of a scene in the segment of what is seen there."""

import json
from pathlib import Path

import numpy as np

from mmvan.data.panoptic import read_ids
from mmvan.data.sample.catalog import CATEGORY_IDS, GROUND_IDS, GROUNDS, SAMPLE_CATEGORIES
from mmvan.data.sample.panoptic import panoptic_segments
from mmvan.data.sample.scenes import draw_scene

SPLITS = {"train": 24, "val": 6}


def test_every_segment_of_the_file_is_in_its_png_and_no_other(sample_root: Path) -> None:
    folder = sample_root / "coco" / "annotations"
    kinds = {"thing": 0, "crowd": 0, "stuff": 0}
    for split, count in SPLITS.items():
        content = json.loads((folder / f"panoptic_{split}2017.json").read_text())
        images = {entry["id"]: entry for entry in content["images"]}
        assert len(content["annotations"]) == len(images) == count
        for entry in content["annotations"]:
            ids = read_ids(str(folder / f"panoptic_{split}2017" / entry["file_name"]))
            image = images[entry["image_id"]]
            assert ids.shape == (image["height"], image["width"])
            assert entry["file_name"] == image["file_name"].replace(".jpg", ".png")
            numbers = [segment["id"] for segment in entry["segments_info"]]
            assert {0, *numbers} == {0, *np.unique(ids).tolist()}
            for segment in entry["segments_info"]:
                mask = ids == segment["id"]
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                left, top, width, height = segment["bbox"]
                assert segment["area"] == mask.sum() >= 24
                assert (left, top) == (columns[0], rows[0])
                assert (left + width, top + height) == (columns[-1] + 1, rows[-1] + 1)
                thing = segment["category_id"] in CATEGORY_IDS
                kinds["crowd" if segment["iscrowd"] else "thing" if thing else "stuff"] += 1
    assert kinds["thing"] > 60
    assert kinds["stuff"] > 20
    assert kinds["crowd"] >= 2


def test_things_are_the_instances_and_stuff_is_the_ground() -> None:
    stuff = 0
    for seed in range(12):
        _, scene = draw_scene(np.random.default_rng(seed), 160, 192, crowd_share=0.5)
        ids, segments = panoptic_segments(scene, min_area=24)
        covered = np.zeros(ids.shape, bool)
        for segment in segments:
            mask = ids == segment["id"]
            covered |= mask
            if segment["category_id"] in GROUND_IDS:
                label = GROUND_IDS.index(segment["category_id"]) + 1
                assert np.array_equal(mask, (scene.owner == 0) & (scene.ground == label))
                stuff += 1
            else:
                (owner,) = np.unique(scene.owner[mask])
                thing = scene.things[owner - 1]
                assert CATEGORY_IDS[thing.kind] == segment["category_id"]
                assert thing.crowd == segment["iscrowd"]
        assert np.array_equal(covered, ids > 0)
        assert max(ids.ravel()) > 2**16
    assert stuff > 12


def test_the_categories_are_things_then_stuff(sample_root: Path) -> None:
    path = sample_root / "coco" / "annotations" / "panoptic_val2017.json"
    categories = json.loads(path.read_text())["categories"]
    assert [entry["name"] for entry in categories] == [*SAMPLE_CATEGORIES, *GROUNDS]
    assert [entry["id"] for entry in categories] == [*CATEGORY_IDS, *GROUND_IDS]
    assert [entry["isthing"] for entry in categories] == [1] * 5 + [0] * 3
