"""What a file holds, told from its keys and shapes alone."""

import itertools

import pytest
import torch
from torch import Tensor

from mmvan import VAN
from mmvan.arch import ARCHS, Arch
from mmvan.checkpoint.layouts import HUGGINGFACE, LAYOUTS, MMPRETRAIN, MMSEG, OFFICIAL, Layout
from mmvan.checkpoint.recognise import (
    Found,
    describe_arch,
    find_backbone,
    listing,
    read_arch,
    require_backbone,
)
from mmvan.checkpoint.shapes import backbone_shapes
from mmvan.errors import CheckpointError

PREFIXES = ("", "backbone.", "module.", "van.", "module.backbone.", "student.model.0.")


def keys(layout: Layout, prefix: str = "", arch: str = "b0") -> list[str]:
    return [prefix + layout.key(key) for key in backbone_shapes(ARCHS[arch])]


def tensors(arch: str | dict[str, list[int]]) -> dict[str, Tensor]:
    with torch.device("meta"):
        return VAN(arch).state_dict()


def test_number_of_cases() -> None:
    assert len(list(itertools.product(LAYOUTS, ARCHS, PREFIXES))) == 210


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_layout_and_prefix_are_told_for_every_size(layout: Layout) -> None:
    found = {
        (arch, prefix): find_backbone(keys(layout, prefix, arch))
        for arch, prefix in itertools.product(ARCHS, PREFIXES)
    }
    assert len(found) == 42
    assert all(found[arch, prefix] == Found(layout, prefix) for arch, prefix in found)


def test_only_keys_under_the_given_prefix_count() -> None:
    both = keys(OFFICIAL, "student.") + keys(HUGGINGFACE, "teacher.van.")
    assert find_backbone(both, "student.") == Found(OFFICIAL, "student.")
    assert find_backbone(both, "teacher.") == Found(HUGGINGFACE, "teacher.van.")
    assert find_backbone(both, "other.") is None
    assert find_backbone(["not_a_" + key for key in keys(OFFICIAL)]) is None


def test_of_a_model_and_its_average_the_model_is_taken() -> None:
    averaged = keys(MMPRETRAIN, "ema.backbone.") + keys(MMPRETRAIN, "backbone.")
    assert find_backbone(averaged) == Found(MMPRETRAIN, "backbone.")


def test_a_mixture_of_spellings_is_the_one_with_more_keys() -> None:
    official, mmseg = keys(OFFICIAL), keys(MMSEG)
    few = [b if "block1.0" in a else a for a, b in zip(official, mmseg, strict=True)]
    many = [a if "block1.0" in a else b for a, b in zip(official, mmseg, strict=True)]
    assert set(few) not in (set(official), set(mmseg))
    assert (find_backbone(few), find_backbone(many)) == (Found(OFFICIAL, ""), Found(MMSEG, ""))


def test_another_network_is_refused_with_what_is_there() -> None:
    expected = r"keys begin with conv1\.weight, fc\.bias; expected .* such as patch_embed1\.proj\."
    with pytest.raises(CheckpointError, match=expected):
        require_backbone(["conv1.weight", "fc.bias"])
    with pytest.raises(CheckpointError, match=r"under the prefix 'a\.' .* nothing at all"):
        require_backbone([], "a.")


@pytest.mark.parametrize("arch", ARCHS)
def test_the_size_is_read_off_the_tensors(arch: str) -> None:
    assert read_arch(tensors(arch)) == ARCHS[arch]
    # B1 to B4 share their widths, and all seven differ in depths or widths.
    assert describe_arch(ARCHS[arch]) == f"the file fits arch {arch!r}"


def test_the_size_of_an_incomplete_or_unknown_network() -> None:
    b0 = tensors("b0")
    first = {
        key: value for key, value in b0.items() if not key.startswith(("stages.2", "stages.3"))
    }
    assert read_arch(first) == Arch((32, 64), (3, 3), (8, 8))
    assert read_arch({}) is None
    assert describe_arch(None) == "the file holds too little to tell its arch"
    wide = read_arch(tensors({"embed_dims": [96, 192, 480, 768], "depths": [6, 6, 90, 6]}))
    assert describe_arch(wide).startswith(
        "the file has embed_dims [96, 192, 480, 768] and depths [6, 6, 90, 6], which is no known"
    )


def test_a_long_list_is_cut() -> None:
    assert listing("abc") == "a, b, c"
    assert listing(map(str, range(10))) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
