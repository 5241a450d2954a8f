"""``init_cfg``: the whole backbone from any layout, prefix and wrapper, or an error."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import PretrainedInit
from torch import Tensor

from mmvan import VAN
from mmvan.checkpoint.layouts import LAYOUTS, OFFICIAL, Layout
from mmvan.checkpoint.pretrained import load_wholly
from mmvan.errors import CheckpointError
from tests.checkpoint.test_adapt import SMALL, Detector, holds, weights

LAYOUT_IDS = [layout.name for layout in LAYOUTS]
HEAD = {"head.weight": torch.zeros(3, 32), "head.bias": torch.zeros(3)}


def pretrained(tmp_path: Path, state: dict[str, Tensor], **options: Any) -> dict[str, Any]:
    torch.save({"state_dict": state}, tmp_path / "file.pth")
    return {"type": "Pretrained", "checkpoint": str(tmp_path / "file.pth"), **options}


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
def test_a_backbone_is_found_under_any_prefix(layout: Layout, tmp_path: Path) -> None:
    for prefix in ("", "backbone.", "module.backbone.", "model.module."):
        for asked in {None, prefix or None, prefix.rstrip(".") or None}:
            state = {**weights(layout, prefix), **HEAD}
            model = Detector(init_cfg=pretrained(tmp_path, state, prefix=asked))
            model.init_weights()
            assert holds(model.backbone), f"{prefix}, {asked}"


def test_the_weights_come_after_every_other_initialisation(tmp_path: Path) -> None:
    file = pretrained(tmp_path, weights(OFFICIAL))
    constant = {"type": "Constant", "val": 3.0, "layer": "Conv2d"}
    for cfg in ([file, constant], [constant, {**file, "type": PretrainedInit}]):
        model = VAN(SMALL, init_cfg=cfg)
        model.init_weights()
        assert holds(model)


def test_other_initialisations_are_mmengines() -> None:
    assert load_wholly(None) is None
    kaiming = {"type": "Kaiming", "layer": "Conv2d"}
    assert load_wholly(kaiming) == [kaiming]
    model = VAN(SMALL, init_cfg={"type": "Constant", "val": 3.0, "layer": "Conv2d"})
    model.init_weights()
    assert model.stages[0].embed.proj.weight.eq(3).all()


def test_stages_that_are_not_built_are_left_out(tmp_path: Path) -> None:
    model = VAN(SMALL, out_indices=(1,), init_cfg=pretrained(tmp_path, weights(OFFICIAL)))
    model.init_weights()
    assert holds(model)


def test_num_batches_tracked_may_be_missing(tmp_path: Path) -> None:
    state = {k: v for k, v in weights(OFFICIAL).items() if "num_batches" not in k}
    model = VAN(SMALL, init_cfg=pretrained(tmp_path, state))
    model.init_weights()
    assert holds(model)


@pytest.mark.parametrize(
    ("state", "options", "message"),
    (
        ({"conv1.weight": torch.ones(1)}, {}, r"file\.pth: no VAN backbone in the checkpoint"),
        (weights(OFFICIAL), {"prefix": "backbone"}, r"nothing under prefix='backbone'; the keys"),
        (dict(list(weights(OFFICIAL).items())[3:]), {}, r"file\.pth: (?s:.*)3 missing|no VAN"),
    ),
)
def test_a_file_that_does_not_fit_is_an_error_and_changes_nothing(
    state: dict[str, Tensor], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model = VAN(SMALL, init_cfg=pretrained(tmp_path, state, **options))
    before = copy.deepcopy(model.stages[0].norm.state_dict())
    with pytest.raises(CheckpointError, match=message):
        model.init_weights()
    assert all(torch.equal(v, before[k]) for k, v in model.stages[0].norm.state_dict().items())


def test_a_file_that_could_execute_code_is_refused(tmp_path: Path) -> None:
    cfg = pretrained(tmp_path, weights(OFFICIAL))
    torch.save({"state_dict": weights(OFFICIAL), "call": print}, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=r"is refused: it asks for builtins\.print"):
        VAN(SMALL, init_cfg=cfg).init_weights()
