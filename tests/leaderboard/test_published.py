from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from mmvan.arch import ARCHS
from mmvan.errors import DataError
from mmvan.leaderboard.published import SECTIONS, load_results, unit_of

ROWS = {
    "architectures": 7,
    "imagenet_1k": 5,
    "imagenet_22k_pretrained": 6,
    "ablations_b0": 10,
    "cub_200": 1,
    "coco_retinanet_1x": 4,
    "coco_mask_rcnn_1x": 4,
    "coco_3x": 4,
    "coco_panoptic_mask2former": 2,
    "coco_pose_simple_baseline": 2,
    "ade20k_semantic_fpn": 4,
    "ade20k_upernet": 8,
}


def test_every_row_of_the_file_is_loaded_once() -> None:
    rows = load_results()
    assert Counter(row.section for row in rows) == ROWS
    assert ROWS.keys() == SECTIONS.keys()
    assert len({(row.section, row.label) for row in rows}) == len(rows) == 57
    assert {row.arch for row in rows} == ARCHS.keys()


def test_figures_are_counted_by_kind_and_have_units() -> None:
    figures = Counter(figure for row in load_results() for figure in row.figures)
    assert figures["params"] == 43
    assert figures["flops"] == 39
    assert sum(figures.values()) == 213
    assert {unit_of(figure) for figure in figures} == {"M", "G", "img/s", "%"}
    assert [unit_of(f) for f in ("params", "flops", "box_ap")] == ["M", "G", "%"]


def test_the_printed_digits_are_kept() -> None:
    rows = {(row.section, row.label): row for row in load_results()}
    assert str(rows["architectures", "b5"].figures["params"]) == "90.0"
    assert str(rows["architectures", "b6"].figures["params"]) == "200"
    assert str(rows["ablations_b0", "b0 kernel 28 dilation 4"].figures["flops"]) == "0.90"


def test_a_row_knows_its_model_and_setting() -> None:
    rows = {(row.section, row.label): row for row in load_results()}
    cascade = rows["coco_3x", "b2 cascade_mask_rcnn"]
    assert (cascade.method, cascade.input_size) == ("cascade_maskrcnn_3x", (1280, 800))
    assert cascade.figures["box_ap"] == Decimal("52.0")
    pose = rows["coco_pose_simple_baseline", "b2 384x288"]
    assert (pose.method, pose.input_size) == ("simplebaseline", (384, 288))
    tuned = rows["imagenet_22k_pretrained", "b4 384"]
    assert (tuned.method, tuned.input_size) == ("in22k_in1k", (384, 384))
    segmentor = rows["ade20k_upernet", "b6 in22k"]
    assert (segmentor.pretrained, segmentor.settings["drop_path"]) == ("in22k", "0.5")


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("architecture: {}", "unknown section 'architecture'. Did you mean architectures?"),
        ("cub_200: {arch: b4, flps: 1}", "unknown field 'flps'. Did you mean flops?"),
        ("cub_200: {arch: b4, top1: high}", "top1 must be a number, got 'high'"),
        ("cub_200: {arch: b4, top1: [1]}", "top1 must be a number"),
        ("cub_200: {top1: 1}", "needs an arch"),
        ("coco_3x: [{arch: b2, params: 46}]", "a method"),
        ("imagenet_22k_pretrained: [{arch: b4, input: big}]", "input must be .* got 'big'"),
        ("- 1", "expected sections with rows, found list"),
        ("a: [", "cannot be read"),
    ),
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.yml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_results(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.yml cannot be read"):
        load_results(tmp_path / "nowhere.yml")
