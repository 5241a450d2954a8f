"""A short run over corrupted files and annotations, and that its oracle sees what it should."""

import os
from pathlib import Path

import numpy as np
import pytest
from corrupted import (
    SCOPES,
    Record,
    Tally,
    go_through_files,
    go_through_label_maps,
    go_through_labels,
    go_through_objects,
    in_a_child,
)
from corruptions import (
    CHANGES,
    FORMATS,
    HEIGHT,
    WIDTH,
    corrupted,
    encode,
    files,
    label_map,
    original,
)
from integrity import mask_fault, png_numbers, runs_of, structure_fault, text_of_runs
from PIL import Image
from pycocotools import mask as coco_masks

IMAGES, ANNOTATIONS, SEED = 132, 60, 1


def check(records: list[Record]) -> Tally:
    """Every sample became what the oracle says."""
    wrong = [r for r in records if bool(r.bad) != bool(r.replaced) or r.alike is False]
    assert not wrong
    tally = Tally(records)
    assert tally.count(replaced=True)
    assert tally.count(alike=True)
    return tally


@pytest.mark.parametrize("task", SCOPES)
def test_corrupted_files(task: str, tmp_path: Path) -> None:
    found = files(IMAGES, IMAGES // 4, SEED)
    records = go_through_files(task, found, tmp_path, workers=1)
    assert [(r.kind, r.change) for r in records] == [(f.kind, f.change) for f in found]
    tally = check(records)
    assert tally.count(change=True, bad=True) > IMAGES // 3
    assert not [r for r in records if r.change == "whole" and r.unseen]


def test_broken_objects(tmp_path: Path) -> None:
    objects = go_through_objects(ANNOTATIONS, SEED, tmp_path, workers=1)
    check(objects.records)
    assert objects.stopped
    assert not objects.untold


def test_broken_label_maps(tmp_path: Path) -> None:
    check(go_through_label_maps(ANNOTATIONS, SEED, tmp_path, workers=1))


def test_labels_of_no_class(tmp_path: Path) -> None:
    check(go_through_labels(ANNOTATIONS, SEED, tmp_path, workers=1))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_oracle_takes_whole_files_and_no_parts_of_them(kind: str) -> None:
    content = original(kind, 0)
    assert structure_fault(content) == ""
    rng = np.random.default_rng(0)
    # Behind the first image of a GIF stands one more byte, which nothing needs.
    parts = [corrupted(content[:-2], "cut", rng) for _ in range(20)]
    assert all(map(structure_fault, parts))
    assert corrupted(content, "zeros", rng) != content
    assert {len(corrupted(content, change, rng)) for change in CHANGES if change != "cut"} == {
        len(content)
    }


def test_the_oracle_reads_label_maps_by_itself() -> None:
    labels = label_map(3)
    np.testing.assert_array_equal(png_numbers(encode(labels, "PNG")), np.asarray(labels))
    wide = np.asarray(labels).astype(np.uint16) * 200
    np.testing.assert_array_equal(png_numbers(encode(Image.fromarray(wide), "PNG")), wide)
    with pytest.raises(ValueError, match="colour type 2"):
        png_numbers(encode(labels.convert("RGB"), "PNG"))


def test_the_oracle_reads_run_lengths_as_pycocotools_writes_them() -> None:
    rng = np.random.default_rng(0)
    mask = np.asfortranarray(rng.integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8))
    mask[:, 20:40] = 1
    text = coco_masks.encode(mask)["counts"].decode()
    value = {"size": [HEIGHT, WIDTH], "counts": text}
    assert mask_fault(value, HEIGHT, WIDTH) == ""
    np.testing.assert_array_equal(runs_of(value), mask)
    assert text_of_runs(text + "o") is None
    assert mask_fault({**value, "counts": text[:-1]}, HEIGHT, WIDTH)


def test_what_a_child_does_is_told() -> None:
    assert in_a_child(lambda: None) == ""
    assert in_a_child(lambda: int("x")) == "raises"
    assert "SIGABRT" in in_a_child(os.abort)


def test_numbers_are_of_the_records() -> None:
    bad = Record("PNG", "cut", bad="no IEND", replaced="truncated")
    missed = Record("PNG", "cut", bad="no IEND")
    good = Record("BMP", "zeros", alike=True, unseen=True)
    other = Record("BMP", "whole", alike=False)
    extra = Record("BMP", "whole", replaced="decoder")
    assert Tally([bad, missed, good, other, extra]).row() == [5, 2, 2, 1, 1, 1, 1, 1]
