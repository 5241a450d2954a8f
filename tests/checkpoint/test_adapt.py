"""The backbone's names in a state dict: renamed for PyTorch, or adapted wholly."""

import copy
from collections.abc import Callable

import pytest
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.checkpoint import adapt
from mmvan.checkpoint.adapt import adapt_state_dict
from mmvan.checkpoint.layouts import LAYOUTS, MMVAN, OFFICIAL, Layout
from mmvan.checkpoint.wrappers import copy_state_dict
from mmvan.errors import CheckpointError

SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
LAYOUT_IDS = [layout.name for layout in LAYOUTS]
Damage = Callable[[dict[str, Tensor]], dict[str, Tensor]]


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


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr(adapt, "print_log", lambda line, **_: logged.append(line))
    return logged


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
def test_the_backbone_renames_wherever_it_is(layout: Layout, lines: list[str]) -> None:
    bare, model, deep = VAN(SMALL), Detector(), nn.Sequential(nn.ModuleDict({"a": Detector()}))
    neck = {"neck.weight": torch.ones(4, 32, 1, 1), "neck.bias": torch.ones(4)}
    file = {**weights(layout, "backbone."), **neck}
    bare.load_state_dict(weights(layout))
    model.load_state_dict(file)
    deep.load_state_dict({f"0.a.{key}": value for key, value in file.items()})
    assert all(holds(backbone) for backbone in (bare, model.backbone, deep[0]["a"].backbone))
    assert model.neck.weight.eq(1).all()
    told = f"VAN backbone: {len(bare.state_dict())} tensors renamed from the {layout.name} layout"
    assert lines == ([] if layout is MMVAN else [told] * 3)


@pytest.mark.parametrize(
    "part",
    ((), ("neck.weight", "neck.bias"), ("backbone.stages.0.norm.weight",), ("backbone.adapter",)),
    ids=("nothing", "the neck alone", "one tensor", "an adapter alone"),
)
def test_a_part_is_loaded_without_a_word(part: tuple[str, ...], lines: list[str]) -> None:
    model = Detector()
    model.backbone.adapter = nn.Parameter(torch.zeros(3))
    state = {key: tensor + 1 for key, tensor in model.state_dict().items() if key in part}
    result = model.load_state_dict(state, strict=False)
    assert result.unexpected_keys == []
    own = model.state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor in state.items())
    assert lines == []


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
@pytest.mark.parametrize("whole", (False, True))
def test_names_of_another_model_are_told_of_the_hook(
    layout: Layout, whole: bool, lines: list[str]
) -> None:
    own_model = whole and layout.prefix == "backbone."
    state = weights(layout, layout.prefix if whole else "")
    Detector().load_state_dict({"head.weight": torch.ones(2), **state}, strict=False)
    assert any("mmvan.AdaptCheckpointHook" in line for line in lines) is not own_model


def test_versions_of_modules_are_kept() -> None:
    state, key = VAN(SMALL).state_dict(), "stages.0.blocks.0.norm1.num_batches_tracked"
    del state[key]
    # Of BatchNorm's version 2 it is missing; where versions are unknown, PyTorch fills it in.
    assert VAN(SMALL).load_state_dict(state, strict=False).missing_keys == [key]
    assert VAN(SMALL).load_state_dict(dict(state)).missing_keys == []


def test_what_is_loaded_stays_as_it_was() -> None:
    own = VAN(SMALL).state_dict()
    state = copy_state_dict(own)
    for key in own:
        state[OFFICIAL.key(key)] = state.pop(key)
    keys, versions = list(state), copy.deepcopy(own._metadata)
    VAN(SMALL).load_state_dict(state)
    assert (list(state), state._metadata) == (keys, versions)


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
def test_pytorch_judges_what_is_missing_left_over_or_of_another_shape(layout: Layout) -> None:
    stem, norm = layout.stem, layout.key("stages.3.norm.bias")
    state = weights(layout)
    incomplete = {key: value for key, value in state.items() if key != stem}
    extra = {**state, "head.weight": torch.zeros(3, 32)}
    wider = {**state, norm: torch.ones(48)}
    for file, message in (
        (incomplete, r'Missing key\(s\) in state_dict: "stages\.0\.embed\.proj\.weight"\.'),
        (extra, r'Unexpected key\(s\) in state_dict: "head\.weight"\.'),
        (wider, r"size mismatch for stages\.3\.norm\.bias"),
    ):
        with pytest.raises(RuntimeError, match=message):
            VAN(SMALL).load_state_dict(file)
    model = VAN(SMALL)
    result = model.load_state_dict({**incomplete, "head.weight": state[norm]}, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == ([MMVAN.stem], ["head.weight"])
    loaded = model.state_dict()
    own = {layout.own_key(key): value for key, value in incomplete.items()}
    assert all(torch.equal(loaded[key], value) for key, value in own.items() if key)


def test_a_part_of_a_backbone_is_loaded_as_pytorch_loads_it() -> None:
    model = VAN(SMALL)
    part = {key: value for key, value in weights(OFFICIAL).items() if key.startswith("block2")}
    assert not model.load_state_dict(part, strict=False).unexpected_keys
    stage = model.stages[1].blocks.state_dict()
    own = [OFFICIAL.own_key(key).removeprefix("stages.1.blocks.") for key in part]
    assert all(
        torch.equal(stage[key], value) for key, value in zip(own, part.values(), strict=True)
    )


def test_two_names_for_one_tensor_are_left_to_pytorch() -> None:
    both = {**weights(OFFICIAL), MMVAN.stem: torch.zeros(8, 3, 7, 7)}
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) .*"patch_embed1\.proj\.weight"\.'):
        VAN(SMALL).load_state_dict(both)


def test_the_callers_state_dict_is_left_alone() -> None:
    file = weights(OFFICIAL)
    keys = list(file)
    VAN(SMALL).load_state_dict(file)
    assert list(file) == keys


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
def test_what_does_not_fit_is_refused_unchanged(damage: Damage, message: str) -> None:
    state = damage(weights(OFFICIAL))
    keys = list(state)
    with pytest.raises(CheckpointError, match="(?s)" + message):
        adapt_state_dict(state, "", VAN(SMALL).state_dict())
    assert list(state) == keys


def test_the_error_says_which_size_the_file_has() -> None:
    # The second is a B6 that was once listed with 480 channels in its third stage.
    listed = {"embed_dims": [96, 192, 480, 768], "depths": ARCHS["b6"].depths}
    for arch, other, message in (
        ("b2", "b3", "the file fits arch 'b2'; nothing was loaded"),
        (listed, "b6", r"embed_dims \[96, 192, 480, 768\] and depths \[6,"),
    ):
        with torch.device("meta"):
            state = {OFFICIAL.key(k): v for k, v in VAN(arch).state_dict().items()}
            model = VAN(other)
        with pytest.raises(CheckpointError, match=message):
            adapt_state_dict(state, "", model.state_dict())


def test_what_is_left_out_is_one_log_line(lines: list[str]) -> None:
    state = {**weights(OFFICIAL), "head.weight": torch.zeros(3, 32), "head.bias": torch.zeros(3)}
    adapt_state_dict(state, "", VAN(SMALL).state_dict())
    adapt_state_dict(state, "", VAN(SMALL).state_dict())
    assert len(lines) == 1
    assert "loaded from the official layout; not used here: head.bias, head.weight" in lines[0]
