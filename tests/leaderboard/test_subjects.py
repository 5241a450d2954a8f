from pathlib import Path

import pytest

from mmvan.errors import ConfigError
from mmvan.leaderboard.published import load_results
from mmvan.leaderboard.subjects import find_configs, subject_of, usual_subject
from tests.configs.zoo import CONFIGS, LEAVES


def test_every_row_has_a_config_name() -> None:
    subjects = {(row.section, row.label): subject_of(row) for row in load_results()}
    assert len(subjects) == 57
    assert subjects["architectures", "b4"].config == "van_h_in1k"
    assert subjects["imagenet_22k_pretrained", "b4 224"].config == "van_h_in22k_in1k"
    assert subjects["imagenet_22k_pretrained", "b6 384"].config == "van_b6_in22k_in1k_384"
    assert subjects["coco_retinanet_1x", "b0"].config == "van_t_retinanet"
    assert subjects["coco_3x", "b2 gfl"].config == "van_b_gfl_3x"
    assert subjects["ade20k_upernet", "b4 in1k"].config == "van_h_upernet"
    assert subjects["ade20k_upernet", "b4 in22k"].config == "van_h_upernet_in22k"
    assert subjects["ade20k_upernet", "b5 in22k"].config == "van_b5_upernet"


def test_every_row_but_those_of_pose_has_a_config() -> None:
    named = {(row.section, subject_of(row).config) for row in load_results()}
    missing = {section for section, config in named if config not in find_configs(CONFIGS)}
    assert missing == {"coco_pose_simple_baseline"}


def test_ablations_are_configs_of_their_own() -> None:
    rows = [row for row in load_results() if row.section == "ablations_b0"]
    names = [subject_of(row).config for row in rows]
    assert len(set(names)) == len(names) == 10
    paths = find_configs(CONFIGS)
    found = {}
    for row in rows:
        subject = subject_of(row)
        backbone = subject.load(paths[subject.config]).model.backbone
        found[row.label.removeprefix("b0 ")] = backbone.get("lka_cfg", {})
    assert found == {
        "without_dw_conv": {"dw_conv": False},
        "without_dw_d_conv": {"dw_d_conv": False},
        "without_attention": {"gate": "none"},
        "attention_by_add": {"gate": "add"},
        "without_1x1": {"pw_conv": False},
        "with_sigmoid": {"sigmoid": True},
        "kernel 7 dilation 2": {"kernel_size": 7, "dilation": 2},
        # The dilation of 3 is the default, and so is the kernel of 21.
        "kernel 14 dilation 3": {"kernel_size": 14},
        "kernel 21 dilation 3": {},
        "kernel 28 dilation 4": {"kernel_size": 28, "dilation": 4},
    }


def test_all_configs_are_found_but_no_bases() -> None:
    found = find_configs(CONFIGS)
    assert sorted(found.values()) == LEAVES
    assert len(found) >= 36


def test_a_folder_without_configs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}: no configs found"):
        find_configs(tmp_path)


def test_the_folder_of_a_config_tells_the_usual_size() -> None:
    assert usual_subject(Path("detection/van_t_new.py")).input_size == (1280, 800)
    with pytest.raises(ConfigError, match=r"folder named .*segmentation, not 'pose'"):
        usual_subject(Path("pose/van_t_new.py"))
