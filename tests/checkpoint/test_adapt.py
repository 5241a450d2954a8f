"""Loading published layouts: by every way of loading, strictly, and nothing half loaded."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.checkpoint import adapt
from mmvan.checkpoint.layouts import LAYOUTS, OFFICIAL, Layout
from mmvan.errors import CheckpointError

SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
LAYOUT_IDS = [layout.name for layout in LAYOUTS]


class Detector(BaseModule):
    """Stands for any model that has the backbone inside."""

    def __init__(self, **backbone: object) -> None:
        super().__init__()
        self.backbone = VAN(SMALL, **backbone)
        self.neck = nn.Conv2d(32, 4, 1)


def weights(layout: Layout, prefix: str = "", seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    own = VAN(SMALL).state_dict()
    return {prefix + layout.key(key): tensor for key, tensor in own.items()}


def holds(model: nn.Module, seed: int = 0) -> bool:
    torch.manual_seed(seed)
    expected = VAN(SMALL).state_dict()
    return all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())


@pytest.mark.smoke
@pytest.mark.parametrize("prefix", ("", "backbone.", "module.backbone.", "model.module."))
@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
def test_a_bare_backbone_takes_any_layout_with_any_prefix(layout: Layout, prefix: str) -> None:
    model = VAN(SMALL)
    head = {"head.weight": torch.zeros(3, 32), prefix + "head.bias": torch.zeros(3)}
    result = model.load_state_dict({**weights(layout, prefix), **head})
    assert not result.missing_keys
    assert holds(model)


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
def test_init_cfg_load_from_and_load_state_dict_agree(layout: Layout, tmp_path: Path) -> None:
    bare, whole = tmp_path / "bare.pth", tmp_path / "whole.pth"
    torch.save({"state_dict": weights(layout)}, bare)
    neck = {"neck.weight": torch.ones(4, 32, 1, 1), "neck.bias": torch.ones(4)}
    torch.save({"state_dict": {**weights(layout, "backbone."), **neck}}, whole)

    by_init_cfg = Detector(init_cfg={"type": "Pretrained", "checkpoint": str(bare)})
    by_init_cfg.init_weights()
    by_prefix = Detector(
        init_cfg={"type": "Pretrained", "checkpoint": str(whole), "prefix": "backbone."}
    )
    by_prefix.init_weights()
    by_load_from = Detector()
    load_checkpoint(by_load_from, str(whole))
    by_load_state_dict = Detector()
    by_load_state_dict.load_state_dict(torch.load(whole)["state_dict"])
    in_a_wrapper = nn.Sequential(Detector())
    in_a_wrapper.load_state_dict({f"0.{k}": v for k, v in torch.load(whole)["state_dict"].items()})
    models = (by_init_cfg, by_prefix, by_load_from, by_load_state_dict, in_a_wrapper[0])
    assert all(holds(model.backbone) for model in models)
    assert all(model.neck.weight.eq(1).all() for model in models[2:])


def test_what_is_left_out_is_one_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(adapt, "print_log", lambda line, **_: lines.append(line))
    state = {**weights(OFFICIAL), "head.weight": torch.zeros(3, 32), "head.bias": torch.zeros(3)}
    VAN(SMALL).load_state_dict(state)
    VAN(SMALL).load_state_dict(VAN(SMALL).state_dict())
    assert len(lines) == 1
    assert "loaded from the official layout; not used here: head.bias, head.weight" in lines[0]


def test_stages_that_are_not_built_are_left_out() -> None:
    model = VAN(SMALL, out_indices=(1,))
    model.load_state_dict(weights(OFFICIAL))
    assert holds(model)


def test_num_batches_tracked_may_be_missing() -> None:
    state = {k: v for k, v in weights(OFFICIAL).items() if "num_batches" not in k}
    model = VAN(SMALL)
    model.load_state_dict(state, strict=False)
    assert holds(model)


def without_ffn_dw_conv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if "mlp.dwconv" not in k}


def with_an_extra_block(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "block3.2.norm1.weight": torch.ones(24)}


def of_another_width(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "norm4.bias": torch.ones(48)}


def of_another_network(_: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"conv1.weight": torch.ones(64, 3, 7, 7), "layer1.0.conv1.weight": torch.ones(64)}


def empty(_: dict[str, Tensor]) -> dict[str, Tensor]:
    return {}


@pytest.mark.parametrize(
    ("damage", "message"),
    (
        (without_ffn_dw_conv, r"official layout.*10 missing: block1.0.mlp.dwconv.dwconv.weight"),
        (with_an_extra_block, r"1 unknown: block3.2.norm1.weight"),
        (of_another_width, r"1 wrong shape: norm4.bias \(48,\) instead of \(32,\)"),
        (of_another_network, r"keys begin with conv1.weight, layer1.0.conv1.weight; expected the"),
        (empty, "nothing at all"),
    ),
)
@pytest.mark.parametrize("strict", (True, False))
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_loaded(
    damage: object, message: str, strict: bool
) -> None:
    model = VAN(SMALL)
    before = copy.deepcopy(model.state_dict())
    state = damage(weights(OFFICIAL))
    keys = list(state)
    with pytest.raises(CheckpointError, match="(?s)" + message):
        model.load_state_dict(state, strict=strict)
    assert list(state) == keys
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_the_error_says_which_size_the_file_has() -> None:
    with torch.device("meta"):
        state = {OFFICIAL.key(k): v for k, v in VAN("b2").state_dict().items()}
        model = VAN("b3")
    with pytest.raises(CheckpointError, match="the file fits arch 'b2'; nothing was loaded"):
        model.load_state_dict(state)
    # A B6 that was once listed with 480 channels in its third stage.
    arch = {"embed_dims": [96, 192, 480, 768], "depths": ARCHS["b6"].depths}
    with torch.device("meta"):
        state = VAN(arch).state_dict()
        model = VAN("b6")
    with pytest.raises(CheckpointError, match=r"embed_dims \[96, 192, 480, 768\] and depths \[6,"):
        model.load_state_dict(state)
