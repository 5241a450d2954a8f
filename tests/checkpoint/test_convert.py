"""Conversion between all layouts: bit-equal there and back, strict about what it is given."""

import itertools

import pytest
import torch
from torch import Tensor
from transformers.models.deprecated.van.configuration_van import VanConfig
from transformers.models.deprecated.van.modeling_van import VanForImageClassification, VanModel

from mmvan.arch import ARCHS, Arch
from mmvan.checkpoint.convert import convert_state_dict
from mmvan.checkpoint.layouts import LAYOUTS, MMVAN
from mmvan.checkpoint.shapes import backbone_shapes
from mmvan.errors import CheckpointError

SMALL = Arch((8, 16, 24, 32), (1, 2, 1, 1), (2, 2, 2, 2))
NAMES = [layout.name for layout in LAYOUTS]
HEAD = {"head.fc.weight": torch.randn(5, 32), "head.fc.bias": torch.randn(5)}
DECODE_HEAD = {"decode_head.conv_seg.weight": torch.randn(7, 4, 1, 1), "neck.x": torch.ones(2)}


def backbone(arch: Arch = SMALL) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        key: torch.tensor(9) if key.endswith("tracked") else torch.randn(shape)
        for key, shape in backbone_shapes(arch).items()
    }


def classifier() -> dict[str, Tensor]:
    return {**{MMVAN.prefix + key: value for key, value in backbone().items()}, **HEAD}


def segmentor() -> dict[str, Tensor]:
    return {**{MMVAN.prefix + key: value for key, value in backbone().items()}, **DECODE_HEAD}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(("there", "back"), itertools.permutations(NAMES, 2))
@pytest.mark.parametrize("make", (backbone, classifier))
def test_round_trips_between_all_layouts_are_bit_equal(there: str, back: str, make: object) -> None:
    own = make()
    first = convert_state_dict(own, there)
    second = convert_state_dict(first.state_dict, back)
    third = convert_state_dict(second.state_dict, there)
    assert same(third.state_dict, first.state_dict)
    assert same(convert_state_dict(third.state_dict, "mmvan").state_dict, own)
    assert (first.source, second.source, third.source) == ("mmvan", there, back)
    assert first.num_classes == (5 if make is classifier else None)


@pytest.mark.parametrize(("arch", "target"), itertools.product(ARCHS, NAMES))
def test_every_size_is_converted_whole(arch: str, target: str) -> None:
    with torch.device("meta"):
        own = {
            key: torch.empty(shape, dtype=torch.int64 if key.endswith("tracked") else None)
            for key, shape in backbone_shapes(ARCHS[arch]).items()
        }
    there = convert_state_dict(own, target)
    back = convert_state_dict(there.state_dict, "mmvan")
    assert there.arch == back.arch == ARCHS[arch]
    assert len(there.state_dict) - there.num_added == len(own) == len(back.state_dict)
    assert all(back.state_dict[key] is own[key] for key in own)


def test_what_transformers_expects_is_what_it_gets() -> None:
    config = VanConfig(
        hidden_sizes=list(SMALL.embed_dims),
        depths=list(SMALL.depths),
        mlp_ratios=list(SMALL.ffn_ratios),
        num_labels=5,
    )
    VanModel(config).load_state_dict(convert_state_dict(backbone(), "huggingface").state_dict)
    model = VanForImageClassification(config)
    done = convert_state_dict(classifier(), "huggingface")
    model.load_state_dict(done.state_dict)
    assert torch.equal(model.classifier.weight, HEAD["head.fc.weight"])
    assert done.num_added == 2
    again = convert_state_dict(model.state_dict(), "mmvan")
    assert same(again.state_dict, classifier())
    assert again.num_dropped == 2


@pytest.mark.parametrize("target", ("mmvan", "official", "mmseg", "mmpretrain"))
def test_other_heads_keep_their_names(target: str) -> None:
    done = convert_state_dict(segmentor(), target)
    assert DECODE_HEAD.keys() <= done.state_dict.keys()
    assert sum(key.startswith("backbone.") for key in done.state_dict) == len(backbone())
    assert same(convert_state_dict(done.state_dict, "mmvan").state_dict, segmentor())


def test_a_layout_without_names_for_them_refuses_other_heads() -> None:
    with pytest.raises(CheckpointError, match=r"no names for decode_head.conv_seg.weight, neck.x"):
        convert_state_dict(segmentor(), "huggingface")
    done = convert_state_dict(segmentor(), "huggingface", backbone_only=True)
    assert same(done.state_dict, convert_state_dict(backbone(), "huggingface").state_dict)
    assert done.num_dropped == 2


def test_prefixes_and_entries_of_other_kinds_are_left_out() -> None:
    wrapped = {f"module.{key}": value for key, value in classifier().items()}
    done = convert_state_dict({**wrapped, "steps": torch.tensor(3), "epoch": 4}, "mmvan")
    assert same(done.state_dict, classifier())
    assert done.num_dropped == 2


def damaged(change: str) -> dict[str, Tensor]:
    state_dict = backbone()
    key = "stages.1.blocks.1.ffn.dw_conv.weight"
    if change == "missing":
        del state_dict[key]
    elif change == "wrong shape":
        state_dict[key] = state_dict[key][:3]
    elif change == "unknown":
        state_dict["stages.0.blocks.0.attn.extra.weight"] = state_dict[key]
    else:
        state_dict[key][0] = torch.nan
    return state_dict


@pytest.mark.parametrize("change", ("missing", "wrong shape", "unknown", "with NaN"))
def test_a_damaged_backbone_is_not_converted(change: str) -> None:
    with pytest.raises(CheckpointError, match=f"1 {change}"):
        convert_state_dict(damaged(change), "official")


def test_what_is_no_van_is_not_converted() -> None:
    with pytest.raises(CheckpointError, match="no VAN backbone"):
        convert_state_dict({"layer1.0.conv1.weight": torch.ones(1)}, "official")
    with pytest.raises(CheckpointError, match="not one complete stage"):
        convert_state_dict({"patch_embed1.proj.weight": torch.ones(8, 3, 7, 7)}, "mmvan")
    with pytest.raises(CheckpointError, match="unknown layout 'timm': choose from mmvan, official"):
        convert_state_dict(backbone(), "timm")
