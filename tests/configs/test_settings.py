"""The set of configs, the weights and widths of each, and that each of them builds."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope

from mmvan import VAN
from mmvan.arch import ARCHS
from tests.configs.published import RECIPES, RESULTS
from tests.configs.zoo import (
    ARCH_OF_SIZE,
    LEAVES,
    REFERENCE,
    SAMPLE,
    load,
    method_and_size,
)

SIZES = {
    "in1k": "t s b l h b5 b6",
    "maskrcnn": "t s b l",
    "retinanet": "t s b l",
    "maskrcnn_3x": "b",
    "cascade_maskrcnn_3x": "b",
    "atss_3x": "b",
    "gfl_3x": "b",
    "mask2former_panoptic": "b b6",
    "fpn": "t s b l h",
    "upernet": "t s b l h b5 b6",
}
DOWNSTREAM = [path for path in REFERENCE if path.parent.name != "classification"]


@pytest.mark.smoke
def test_every_config_is_here_and_counted() -> None:
    expected = {(method, size) for method, sizes in SIZES.items() for size in sizes.split()}
    assert {method_and_size(path) for path in REFERENCE} == expected
    assert (len(REFERENCE), len(SAMPLE), len(LEAVES)) == (33, 3, 36)


def test_classification_starts_from_scratch_and_the_others_from_published_weights() -> None:
    checkpoints = RESULTS["checkpoints"]
    weights = {
        **checkpoints["official_classification"],
        "b4": RECIPES["more_checkpoints"]["mmseg_backbone_b4"],
        "b5": checkpoints["mmseg_backbone"]["b5-in22k"],
        "b6": checkpoints["mmseg_backbone"]["b6-in22k"],
    }
    assert set(weights) == set(ARCHS)
    for path in REFERENCE:
        backbone = load(path).model.backbone
        start = (backbone.get("init_cfg") or {}).get("checkpoint")
        assert start == (weights[backbone.arch] if path in DOWNSTREAM else None), path.stem
    assert len(DOWNSTREAM) == 26


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_arch_and_widths_are_those_of_the_size(path: Path) -> None:
    method, size = method_and_size(path)
    model = load(path).model
    assert model.backbone.arch == ARCH_OF_SIZE[size]
    widths = list(ARCHS[model.backbone.arch].embed_dims)
    if method == "in1k":
        assert model.head.in_channels == widths[-1]
    elif method == "upernet":
        assert model.decode_head.in_channels == widths
        assert model.auxiliary_head.in_channels == widths[model.auxiliary_head.in_index]
    elif method == "mask2former_panoptic":
        assert model.panoptic_head.in_channels == widths
    else:
        assert model.neck.in_channels == widths


@pytest.mark.parametrize(
    "path", [p for p in REFERENCE if p.stem.startswith("van_b_")], ids=lambda path: path.stem
)
def test_a_reference_config_begins_with_its_launch_line(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == f"# tools/dist_train.sh configs/{path.parent.name}/{path.name} 8"
    assert "8 GPUs" in lines[1]
    assert "Expected:" in "\n".join(lines[:5])


@pytest.mark.smoke
@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
def test_every_config_builds(path: Path) -> None:
    cfg = load(path)
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    assert type(model.backbone) is VAN
    assert model.backbone.arch is ARCHS[ARCH_OF_SIZE[method_and_size(path)[1]]]
    for loader in ("train_dataloader", "test_dataloader"):
        for transform in cfg[loader].dataset.pipeline:
            assert TRANSFORMS.build(transform) is not None
    # mmdet's test-time augmentation merges boxes, which panoptic segments are not.
    assert ("tta_pipeline" in cfg) is not path.stem.endswith("_panoptic")
    for transform in cfg.get("tta_pipeline", ()):
        assert TRANSFORMS.build(transform) is not None
