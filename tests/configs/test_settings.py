"""The set of configs, the weights and widths of each, and that each of them builds."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope

from mmvan import VAN
from mmvan.arch import ARCHS
from tests.configs.published import ABLATIONS, RECIPES, RESULTS, recipe_of
from tests.configs.zoo import (
    ARCH_OF_SIZE,
    LEAVES,
    REFERENCE,
    SAMPLE,
    TEMPLATES,
    load,
    method_and_size,
)

SIZES = {
    "in1k": "t s b l h b5 b6",
    **dict.fromkeys(ABLATIONS, "t"),
    "in22k_in1k": "h b5 b6",
    "in22k_in1k_384": "h b5 b6",
    "cub200": "h",
    "maskrcnn": "t s b l",
    "retinanet": "t s b l",
    "maskrcnn_3x": "b",
    "cascade_maskrcnn_3x": "b",
    "atss_3x": "b",
    "gfl_3x": "b",
    "mask2former_panoptic": "b b6",
    "fpn": "t s b l h",
    "fpn_in22k": "h",
    "upernet": "t s b l h b5 b6",
    "upernet_in22k": "h",
    "mask2former": "b",
}


@pytest.mark.smoke
def test_every_config_is_here_and_counted() -> None:
    expected = {(method, size) for method, sizes in SIZES.items() for size in sizes.split()}
    assert {method_and_size(path) for path in REFERENCE} == expected
    assert (len(REFERENCE), len(SAMPLE), len(TEMPLATES), len(LEAVES)) == (52, 3, 1, 56)


def test_imagenet_1k_starts_from_scratch_and_the_others_from_published_weights() -> None:
    checkpoints = RESULTS["checkpoints"]
    in22k = checkpoints["mmseg_backbone"]
    in1k = {
        **checkpoints["official_classification"],
        "b4": RECIPES["more_checkpoints"]["mmseg_backbone_b4"],
    }
    from_in22k = 0
    for path in REFERENCE:
        backbone = load(path).model.backbone
        start = (backbone.get("init_cfg") or {}).get("checkpoint")
        if recipe_of(path) == "in1k":
            assert start is None, path.stem
        elif "in22k" in path.stem or path.stem == "van_h_cub200" or backbone.arch in ("b5", "b6"):
            assert start == in22k[f"{backbone.arch}-in22k"], path.stem
            from_in22k += 1
        else:
            assert start == in1k[backbone.arch], path.stem
    assert from_in22k == 12


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_arch_and_widths_are_those_of_the_size(path: Path) -> None:
    method, size = method_and_size(path)
    model = load(path).model
    assert model.backbone.arch == ARCH_OF_SIZE[size]
    widths = list(ARCHS[model.backbone.arch].embed_dims)
    if path.parent.name == "classification":
        assert model.head.in_channels == widths[-1]
    elif method == "mask2former":
        assert model.decode_head.in_channels == widths
    elif recipe_of(path) == "upernet":
        assert model.decode_head.in_channels == widths
        assert model.auxiliary_head.in_channels == widths[model.auxiliary_head.in_index]
    elif method == "mask2former_panoptic":
        assert model.panoptic_head.in_channels == widths
    else:
        assert model.neck.in_channels == widths


# The first config of a method: the others inherit it, or one that does.
FIRST = [path for path in REFERENCE if "../_base_/" in path.read_text()]


@pytest.mark.parametrize("path", FIRST, ids=lambda path: path.stem)
def test_the_first_config_of_a_method_begins_with_its_launch_line(path: Path) -> None:
    launch, *lines = path.read_text().splitlines()
    begin, _, gpus = launch.rpartition(" ")
    assert begin == f"# tools/dist_train.sh configs/{path.parent.name}/{path.name}"
    cfg, text = load(path), " ".join(line.removeprefix("# ") for line in lines[:5])
    assert f"{gpus} GPUs x {cfg.train_dataloader.batch_size} images" in text
    assert int(gpus) * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size
    assert "Expected:" in text or "no result is published" in text


def test_every_method_has_a_first_config() -> None:
    assert len(FIRST) >= 12
    assert {"van_b_in1k", "van_h_in22k_in1k", "van_h_cub200", "van_b_mask2former"} <= {
        path.stem for path in FIRST
    }


@pytest.mark.smoke
@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
def test_every_config_builds(path: Path) -> None:
    cfg = load(path)
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert type(model.backbone) is VAN
    assert model.backbone.channels_last == "auto"
    assert model.backbone.arch is ARCHS[ARCH_OF_SIZE[method_and_size(path)[1]]]
    for loader in ("train_dataloader", "test_dataloader"):
        for transform in cfg[loader].dataset.pipeline:
            assert TRANSFORMS.build(transform) is not None
    # mmdet's test-time augmentation merges boxes, which panoptic segments are not.
    assert ("tta_pipeline" in cfg) is not path.stem.endswith("_panoptic")
    for transform in cfg.get("tta_pipeline", ()):
        assert TRANSFORMS.build(transform) is not None
