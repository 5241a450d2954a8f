from pathlib import Path

import pytest

from mmvan.errors import ConfigError
from mmvan.leaderboard.published import load_results
from mmvan.leaderboard.subjects import ABLATIONS, find_configs, subject_of, usual_subject
from tests.configs.zoo import CONFIGS, LEAVES


def test_every_row_has_a_config_name_and_ablations_are_options() -> None:
    subjects = {(row.section, row.label): subject_of(row) for row in load_results()}
    assert len(subjects) == 57
    assert subjects["architectures", "b4"].config == "van_h_in1k"
    assert subjects["coco_retinanet_1x", "b0"].config == "van_t_retinanet"
    assert subjects["coco_3x", "b2 gfl"].config == "van_b_gfl_3x"
    assert subjects["ade20k_upernet", "b5 in22k"].config == "van_b5_upernet"
    kernel = subjects["ablations_b0", "b0 kernel 14 dilation 3"]
    assert kernel.lka == (("kernel_size", 14), ("dilation", 3))
    changed = [subject.lka for (name, _), subject in subjects.items() if name == "ablations_b0"]
    assert len(set(changed)) == len(changed) == len(ABLATIONS) + 4


def test_options_reach_the_backbone() -> None:
    row = next(row for row in load_results() if row.label == "b0 without_1x1")
    cfg = subject_of(row).load(CONFIGS / "classification" / "van_t_in1k.py")
    assert cfg.model.backbone.lka_cfg == {"pw_conv": False}


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
