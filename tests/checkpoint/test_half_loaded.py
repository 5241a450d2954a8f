"""After a file that was refused, a model holds exactly what it held before."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmvan import VAN
from mmvan.checkpoint.layouts import MMPRETRAIN, MMVAN, OFFICIAL
from mmvan.checkpoint.loading import load_model, misfits
from mmvan.errors import CheckpointError
from tests.checkpoint.whole import DEEPER, SMALL, WIDER, build, equal, in_layout

State = dict[str, Any]
Damage = Callable[[State], State]
BACKBONE, HEAD = "block3.1.mlp.fc1.weight", "head.weight"


def replaced(key: str, change: Callable[[Tensor], Any]) -> Damage:
    """Change one tensor of a file."""
    return lambda state: {**state, key: change(state[key])}


def with_one(value: float) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.index_fill(0, torch.tensor([0]), value)


def of_another_network(state: State) -> State:
    return {"backbone.conv1.weight": torch.ones(64, 3, 7, 7), "head.fc.bias": torch.ones(5)}


def half_renamed(state: State) -> State:
    return {
        key.replace("dwconv.dwconv", "dwconv") if key.startswith("block1") else key: value
        for key, value in state.items()
    }


def half_of_another_layout(state: State) -> State:
    own = {key: OFFICIAL.own_key(key) for key in state}
    return {
        MMPRETRAIN.key(name) if (name := own[key]) and "stages.3" in name else key: value
        for key, value in state.items()
    }


def cut_off(state: State) -> State:
    return dict(list(state.items())[:100])


def deeper(_: State) -> State:
    return in_layout(build("in1k", arch=DEEPER), OFFICIAL)


def wider_in_stage_3(_: State) -> State:
    return in_layout(build("in1k", arch=WIDER), OFFICIAL)


def quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor.contiguous(), 0.1, 0, torch.qint8)


# What one tensor can be, and what the message then says.
VALUES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "NaN": (with_one(float("nan")), "with NaN or infinite values"),
    "infinite": (with_one(float("inf")), "with NaN or infinite values"),
    "no tensor": (lambda tensor: tensor.tolist(), "not a tensor"),
    "nothing": (lambda _: None, "not a tensor"),
    "meta": (lambda tensor: tensor.to("meta"), "without plain values"),
    "sparse": (lambda tensor: tensor.to_sparse(), "without plain values"),
    "quantised": (quantised, "without plain values"),
    "int8": (lambda tensor: tensor.to(torch.int8), "wrong dtype"),
    "float8": (lambda tensor: tensor.to(torch.float8_e4m3fn), "wrong dtype"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "wrong dtype"),
}
DAMAGES: dict[str, tuple[Damage, str]] = {
    "another network": (of_another_network, r"no VAN backbone .*backbone\.conv1\.weight"),
    "deeper": (deeper, r"18 missing|unknown.*depths \[1, 1, 3, 1\]"),
    "wider": (wider_in_stage_3, r"wrong shape.*embed_dims \[8, 16, 32, 32\]"),
    "half renamed": (half_renamed, r"2 missing: block1.*2 unknown: block1.0.mlp.dwconv.bias"),
    "half of another layout": (half_of_another_layout, "28 missing: patch_embed4"),
    "cut off": (cut_off, "missing: "),
    "nothing in it": (lambda _: {}, "no VAN backbone"),
    **{
        f"{name} in {where}": (replaced(key, change), message)
        for name, (change, message) in VALUES.items()
        for where, key in (("backbone", BACKBONE), ("head", HEAD))
    },
}


class Nested(nn.Module):
    """A classifier after a part that has no backbone: it would be loaded first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.model = build("in1k", seed=2)


def test_number_of_damages() -> None:
    assert (len(VALUES), len(DAMAGES)) == (10, 27)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_refused_file_changes_nothing(name: str) -> None:
    damage, message = DAMAGES[name]
    state = damage(in_layout(build("in1k", seed=1), OFFICIAL))
    model, nested = build("in1k", seed=2), Nested()
    first = {"first.weight": torch.ones(2, 2), "first.bias": torch.ones(2)}
    inside = {**first, **{f"model.{key}": value for key, value in state.items()}}
    for target, file in ((model, state), (nested, inside)):
        before = copy.deepcopy(target.state_dict())
        with pytest.raises(CheckpointError, match="(?s)" + message):
            misfits(target, file)
        assert equal(target, before)


@pytest.mark.parametrize("name", [n for n in DAMAGES if not n.startswith(("quantised", "sparse"))])
def test_a_refused_file_on_disk_changes_nothing(name: str, tmp_path: Path) -> None:
    damage, message = DAMAGES[name]
    path = tmp_path / "file.pth"
    torch.save({"state_dict": damage(in_layout(build("in1k", seed=1), OFFICIAL))}, path)
    model = build("in1k", seed=2)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match="(?s)" + message):
        load_model(model, str(path), "the model")
    assert equal(model, before)


@pytest.mark.parametrize("share", (0.0, 0.3, 0.99))
def test_a_truncated_file_changes_nothing(share: float, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save(in_layout(build("in1k", seed=1), OFFICIAL), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    model = build("in1k", seed=2)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match=r"it is empty|torch archive cut off"):
        load_model(model, str(path), "the model")
    assert equal(model, before)


def test_a_detectors_file_with_nan_in_its_head_changes_nothing() -> None:
    state = build("maskrcnn", seed=1).state_dict()
    state["roi_head.bbox_head.fc_cls.bias"] = torch.full((6,), float("nan"))
    model = build("maskrcnn", seed=2)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match=r"has roi_head\.bbox_head\.fc_cls\.bias \(6 of them"):
        misfits(model, state)
    assert equal(model, before)


def test_the_weights_of_b2_do_not_go_into_b3() -> None:
    torch.manual_seed(0)
    state = {OFFICIAL.key(key): value for key, value in VAN("b2").state_dict().items()}
    model = nn.ModuleDict({"backbone": VAN("b3"), "head": nn.Linear(512, 2)})
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match="the file fits arch 'b2'; nothing was loaded"):
        misfits(model, state)
    assert equal(model, before)


def test_two_models_are_loaded_both_or_neither() -> None:
    pair = nn.ModuleDict({name: nn.Sequential(VAN(SMALL)) for name in ("student", "teacher")})
    before = copy.deepcopy(pair.state_dict())
    state = {key: torch.ones_like(value) for key, value in before.items()}
    state[f"teacher.0.{MMVAN.stem}"] = torch.full((8, 3, 7, 7), float("nan"))
    with pytest.raises(CheckpointError, match=r"1 with NaN or infinite values.*\(1176 of them\)"):
        misfits(pair, state)
    assert equal(pair, before)
