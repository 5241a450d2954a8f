"""The tables of key names, against a codebase that has them and against what was published."""

import pytest
import torch

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.checkpoint.layouts import HUGGINGFACE, LAYOUTS, MMPRETRAIN, MMSEG, MMVAN, OFFICIAL

# Our key: the authors' name, mmpretrain's, and transformers'.
PUBLISHED = {
    "stages.0.embed.proj.weight": (
        "patch_embed1.proj.weight",
        "patch_embed1.projection.weight",
        "encoder.stages.0.embeddings.convolution.weight",
    ),
    "stages.3.embed.norm.running_var": (
        "patch_embed4.norm.running_var",
        "patch_embed4.norm.running_var",
        "encoder.stages.3.embeddings.normalization.running_var",
    ),
    "stages.1.blocks.2.norm1.bias": (
        "block2.2.norm1.bias",
        "blocks2.2.norm1.bias",
        "encoder.stages.1.layers.2.pre_normomalization.bias",
    ),
    "stages.2.blocks.0.attn.lka.dw_conv.weight": (
        "block3.0.attn.spatial_gating_unit.conv0.weight",
        "blocks3.0.attn.spatial_gating_unit.DW_conv.weight",
        "encoder.stages.2.layers.0.attention.attention_layer.attention.depth_wise.weight",
    ),
    "stages.2.blocks.0.attn.lka.dw_d_conv.weight": (
        "block3.0.attn.spatial_gating_unit.conv_spatial.weight",
        "blocks3.0.attn.spatial_gating_unit.DW_D_conv.weight",
        "encoder.stages.2.layers.0.attention.attention_layer.attention.depth_wise_dilated.weight",
    ),
    "stages.2.blocks.0.attn.lka.pw_conv.bias": (
        "block3.0.attn.spatial_gating_unit.conv1.bias",
        "blocks3.0.attn.spatial_gating_unit.conv1.bias",
        "encoder.stages.2.layers.0.attention.attention_layer.attention.point_wise.bias",
    ),
    "stages.0.blocks.1.attn.proj_2.weight": (
        "block1.1.attn.proj_2.weight",
        "blocks1.1.attn.proj_2.weight",
        "encoder.stages.0.layers.1.attention.post_projection.weight",
    ),
    "stages.0.blocks.1.ffn.fc1.weight": (
        "block1.1.mlp.fc1.weight",
        "blocks1.1.mlp.fc1.weight",
        "encoder.stages.0.layers.1.mlp.in_dense.weight",
    ),
    "stages.0.blocks.1.ffn.dw_conv.weight": (
        "block1.1.mlp.dwconv.dwconv.weight",
        "blocks1.1.mlp.dwconv.weight",
        "encoder.stages.0.layers.1.mlp.depth_wise.weight",
    ),
    "stages.0.blocks.1.layer_scale_2": (
        "block1.1.layer_scale_2",
        "blocks1.1.layer_scale_2",
        "encoder.stages.0.layers.1.mlp_scaling.weight",
    ),
    "stages.1.norm.bias": (
        "norm2.bias",
        "norm2.bias",
        "encoder.stages.1.normalization.bias",
    ),
}


@pytest.mark.parametrize("own_key", PUBLISHED)
def test_names_are_the_published_ones(own_key: str) -> None:
    official, mmpretrain, huggingface = PUBLISHED[own_key]
    assert OFFICIAL.key(own_key) == official
    assert MMPRETRAIN.key(own_key) == mmpretrain
    assert MMSEG.key(own_key) == official.replace("dwconv.dwconv", "dwconv")
    assert HUGGINGFACE.key(own_key) == huggingface
    assert MMVAN.key(own_key) == own_key


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("arch", ARCHS)
def test_every_key_has_one_name_in_every_layout_and_is_led_back_to(arch: str, layout: type) -> None:
    with torch.device("meta"):
        keys = VAN(arch).state_dict().keys()
    names = {key: layout.key(key) for key in keys}
    assert len(set(names.values())) == len(keys)
    assert [layout.own_key(name) for name in names.values()] == list(keys)
    assert all(layout.stage_of(name) == int(key.split(".")[1]) for key, name in names.items())


def test_the_number_of_layouts_and_sizes_covered() -> None:
    assert (len(LAYOUTS), len(ARCHS)) == (5, 7)


@pytest.mark.parametrize("key", ("head.weight", "stages.0.head.weight", "blocks.0.norm1.weight"))
def test_another_modules_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not a key of a VAN backbone"):
        OFFICIAL.key(key)
    assert OFFICIAL.stage_of(key) is None
    assert OFFICIAL.own_key(key) is None


def test_a_name_of_another_spelling_is_not_taken_for_ones_own() -> None:
    key = "block1.0.mlp.dwconv.dwconv.weight"
    assert MMSEG.own_key(key) is None
    assert MMSEG.stage_of(key) == 0
    assert OFFICIAL.own_key(key) == "stages.0.blocks.0.ffn.dw_conv.weight"
