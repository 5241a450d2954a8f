"""The names of models, and what is known about each."""

import subprocess

import pytest

import mmvan
from mmvan.errors import ConfigError
from mmvan.zoo.catalogue import find_model, list_models
from tests.configs.zoo import CONFIGS, REFERENCE
from tests.forks import forked_python

PROJECT = CONFIGS.parent


def test_all_names_are_listed_in_order() -> None:
    names = list_models()
    assert names == sorted(set(names))
    assert len(names) == 71
    assert {path.stem for path in REFERENCE} <= set(names)
    assert mmvan.list_models is list_models


@pytest.mark.parametrize(
    ("pattern", "count"),
    (("*upernet*", 8), ("van_b_*", 14), ("*_in22k*", 14), ("van_t_in1k", 1), ("resnet*", 0)),
)
def test_a_pattern_selects_names(pattern: str, count: int) -> None:
    assert len(list_models(pattern)) == count


def test_a_model_is_found_with_all_that_is_published() -> None:
    model = find_model("van_b6_in22k_mmpretrain")
    assert (model.task, model.config) == ("classification", "configs/classification/van_b6_in1k.py")
    assert (model.training_data, model.parameters) == (("ImageNet-22k",), 200_000_000)
    assert (model.is_default, model.recipe) == (False, "300 epochs, 8 x 128")
    assert model.weights is not None
    assert (model.weights.layout, model.weights.holds) == ("mmpretrain", "backbone")
    assert model.weights.sha256 == "96c2cb3a"
    assert "283.9M" in (model.weights.doubt or "")
    detector = find_model("van_b_maskrcnn")
    assert detector.metrics == {"box AP": 46.4, "mask AP": 41.8}
    assert (detector.weights, detector.flops, detector.is_default) == (None, None, True)


def test_an_unknown_name_is_refused_with_close_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"no model is named 'van_b_in1'.*Did you mean van_b_in1k"
    ) as error:
        find_model("van_b_in1")
    assert "mmvan.list_models() has all 71 names" in str(error.value)


def test_listing_loads_no_task_library() -> None:
    code = (
        "import sys, mmvan; names = mmvan.list_models();"
        "print(len(names), {'mmcv', 'mmpretrain', 'mmdet', 'mmseg'} & set(sys.modules))"
    )
    done = subprocess.run(
        [forked_python(), "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "71 set()"
