"""The tables of key names, against a codebase that has them and against what was published."""

import pytest
import torch

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.checkpoint.layouts import LAYOUTS, MMPRETRAIN, MMSEG, MMVAN, OFFICIAL

PUBLISHED = {
    "stages.0.embed.proj.weight": ("patch_embed1.proj.weight", "patch_embed1.projection.weight"),
    "stages.3.embed.norm.running_var": (
        "patch_embed4.norm.running_var",
        "patch_embed4.norm.running_var",
    ),
    "stages.1.blocks.2.norm1.bias": ("block2.2.norm1.bias", "blocks2.2.norm1.bias"),
    "stages.2.blocks.0.attn.lka.dw_conv.weight": (
        "block3.0.attn.spatial_gating_unit.conv0.weight",
        "blocks3.0.attn.spatial_gating_unit.DW_conv.weight",
    ),
    "stages.2.blocks.0.attn.lka.dw_d_conv.weight": (
        "block3.0.attn.spatial_gating_unit.conv_spatial.weight",
        "blocks3.0.attn.spatial_gating_unit.DW_D_conv.weight",
    ),
    "stages.2.blocks.0.attn.lka.pw_conv.bias": (
        "block3.0.attn.spatial_gating_unit.conv1.bias",
        "blocks3.0.attn.spatial_gating_unit.conv1.bias",
    ),
    "stages.0.blocks.1.attn.proj_2.weight": (
        "block1.1.attn.proj_2.weight",
        "blocks1.1.attn.proj_2.weight",
    ),
    "stages.0.blocks.1.ffn.fc1.weight": ("block1.1.mlp.fc1.weight", "blocks1.1.mlp.fc1.weight"),
    "stages.0.blocks.1.ffn.dw_conv.weight": (
        "block1.1.mlp.dwconv.dwconv.weight",
        "blocks1.1.mlp.dwconv.weight",
    ),
    "stages.0.blocks.1.layer_scale_2": ("block1.1.layer_scale_2", "blocks1.1.layer_scale_2"),
    "stages.1.norm.bias": ("norm2.bias", "norm2.bias"),
}


@pytest.mark.parametrize("own_key", PUBLISHED)
def test_names_are_the_published_ones(own_key: str) -> None:
    official, mmpretrain = PUBLISHED[own_key]
    assert OFFICIAL.key(own_key) == official
    assert MMPRETRAIN.key(own_key) == mmpretrain
    assert MMSEG.key(own_key) == official.replace("dwconv.dwconv", "dwconv")
    assert MMVAN.key(own_key) == own_key


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("arch", ARCHS)
def test_every_key_has_one_name_in_every_layout(arch: str, layout: type) -> None:
    with torch.device("meta"):
        keys = VAN(arch).state_dict().keys()
    names = {key: layout.key(key) for key in keys}
    assert len(set(names.values())) == len(keys)
    assert all(layout.stage_of(name) == int(key.split(".")[1]) for key, name in names.items())


def test_the_number_of_layouts_and_sizes_covered() -> None:
    assert (len(LAYOUTS), len(ARCHS)) == (4, 7)


@pytest.mark.parametrize("key", ("head.weight", "stages.0.head.weight", "blocks.0.norm1.weight"))
def test_another_modules_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not a key of a VAN backbone"):
        OFFICIAL.key(key)
    assert OFFICIAL.stage_of(key) is None
