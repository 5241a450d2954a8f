"""How the published VAN checkpoints name the tensors that mmvan has.

Every layout is one table of names. It gives each tensor exactly one name and leads back from that
name to the tensor, so that a translation loses nothing in either direction.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

PARTS = ("embed.proj", "embed.norm", "norm")
INNER = (
    "norm1",
    "attn.proj_1",
    "attn.lka.dw_conv",
    "attn.lka.dw_d_conv",
    "attn.lka.pw_conv",
    "attn.proj_2",
    "layer_scale_1",
    "norm2",
    "ffn.fc1",
    "ffn.dw_conv",
    "ffn.fc2",
    "layer_scale_2",
)
_DIGITS = re.compile(r"\d+")
_LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, eq=False)
class Layout:
    """The names that one codebase gives to the tensors of a VAN.

    Args:
        name: Name of the layout.
        parts: Our name of a part of a stage, to the layout's. ``{i}`` is the stage counted from 1,
            ``{s}`` counted from 0.
        block: Name of a block; ``{j}`` is the block counted from 0.
        inner: Our name of a module or parameter inside a block, to the layout's; a name that is
            not listed is the same in both.
        prefix: Prefix of the backbone in the layout's classifiers.
        head: Name of their linear layer.
        idle: Modules beside the backbone that are stored without being used.
    """

    name: str
    parts: Mapping[str, str]
    block: str
    inner: Mapping[str, str]
    prefix: str
    head: str
    idle: tuple[str, ...] = ()

    def key(self, own_key: str) -> str:
        """The layout's name for a key of ours.

        Args:
            own_key: A key of ``VAN.state_dict()``.

        Raises:
            ValueError: If the key is not one of a VAN backbone.
        """
        names = _translate((own_key,), MMVAN, self)
        if not names:
            raise ValueError(f"{own_key!r} is not a key of a VAN backbone")
        return names[own_key]

    def own_key(self, key: str) -> str | None:
        """Our name for a key in this layout; None for a key that is not a backbone's."""
        return self.own_keys((key,)).get(key)

    def own_keys(self, keys: Iterable[str]) -> dict[str, str]:
        """Our names for those of the keys that are a backbone's in this layout."""
        return _translate(keys, self, MMVAN)

    def stage_of(self, key: str) -> int | None:
        """The stage, from 0, whose names a key begins like, known or not; None for other keys."""
        for template in (*self.parts.values(), self.block):
            begin = re.escape(template.partition("{")[0])
            match = re.match(rf"{begin}(?P<stage>\d+)\.", key)
            if match:
                return int(match["stage"]) - ("{i}" in template)
        return None

    @cached_property
    def stem(self) -> str:
        """The layout's name for the weight of the first convolution, which every VAN has."""
        return self.key("stages.0.embed.proj.weight")

    @cached_property
    def starts(self) -> tuple[str, ...]:
        """What the names of its tensors begin with."""
        return tuple({name.partition("{")[0] for name in (*self.parts.values(), self.block)})


def _translate(keys: Iterable[str], source: Layout, target: Layout) -> dict[str, str]:
    """Names of one layout as another has them, without those that the first does not have."""
    inner, depth = _inner_names(source, target), source.block.count(".") + 1
    blocks = _Begins([(source.block, target.block)])
    parts = _Begins([(source.parts[part], target.parts[part]) for part in PARTS])
    names: dict[str, str] = {}
    for key in keys:
        rest = key.split(".", depth)[-1]
        own_rest = inner.get(rest)
        if own_rest is not None:
            begin = blocks[key[: -len(rest)]]
        elif (own_rest := key.rpartition(".")[2]) in _LEAVES:
            begin = parts[key[: -len(own_rest)]]
        else:
            continue
        if begin is not None:
            names[key] = begin + own_rest
    return names


class _Begins(dict[str, str | None]):
    """What names begin with, to what they begin with in another layout; found when asked for.

    There are many tensors in few blocks and parts of stages.

    Args:
        pairs: Templates of one layout, each with that of the other.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._pairs = pairs

    def __missing__(self, begin: str) -> str | None:
        self[begin] = own = _translate_numbers(begin.removesuffix("."), self._pairs)
        return own


def _translate_numbers(name: str, pairs: Sequence[tuple[str, str]]) -> str | None:
    """What the template beside the one that a name is made by makes of the same numbers."""
    numbers = [int(text) for text in _DIGITS.findall(name)]
    for template, other in pairs:
        if numbers and len(numbers) == template.count("{"):
            stage = numbers[0] - ("{i}" in template)
            values = {"s": stage, "i": stage + 1, "j": numbers[-1]}
            if template.format(**values) == name:
                return f"{other.format(**values)}."
    return None


@lru_cache
def _inner_names(source: Layout, target: Layout) -> dict[str, str]:
    """Everything that can follow the name of a block, to what follows it in another layout."""
    leaves = ("", *(f".{leaf}" for leaf in _LEAVES))
    return {
        source.inner.get(name, name) + leaf: target.inner.get(name, name) + leaf
        for name in INNER
        for leaf in leaves
    }


MMVAN = Layout(
    "mmvan",
    parts={part: f"stages.{{s}}.{part}" for part in PARTS},
    block="stages.{s}.blocks.{j}",
    inner={},
    prefix="backbone.",
    head="head.fc",
)

OFFICIAL = Layout(
    "official",
    parts={
        "embed.proj": "patch_embed{i}.proj",
        "embed.norm": "patch_embed{i}.norm",
        "norm": "norm{i}",
    },
    block="block{i}.{j}",
    inner={
        "attn.lka.dw_conv": "attn.spatial_gating_unit.conv0",
        "attn.lka.dw_d_conv": "attn.spatial_gating_unit.conv_spatial",
        "attn.lka.pw_conv": "attn.spatial_gating_unit.conv1",
        "ffn.fc1": "mlp.fc1",
        "ffn.dw_conv": "mlp.dwconv.dwconv",
        "ffn.fc2": "mlp.fc2",
    },
    prefix="",
    head="head",
)

# The files of mmsegmentation's project have the official names, but some of them spell the
# depthwise convolution of the feed-forward network without the inner module.
MMSEG = replace(OFFICIAL, name="mmseg", inner={**OFFICIAL.inner, "ffn.dw_conv": "mlp.dwconv"})

MMPRETRAIN = Layout(
    "mmpretrain",
    parts={**OFFICIAL.parts, "embed.proj": "patch_embed{i}.projection"},
    block="blocks{i}.{j}",
    inner={
        **MMSEG.inner,
        "attn.lka.dw_conv": "attn.spatial_gating_unit.DW_conv",
        "attn.lka.dw_d_conv": "attn.spatial_gating_unit.DW_D_conv",
    },
    prefix="backbone.",
    head="head.fc",
)

# transformers 4.x, transformers.models.deprecated.van; the misspelling is theirs.
HUGGINGFACE = Layout(
    "huggingface",
    parts={
        "embed.proj": "encoder.stages.{s}.embeddings.convolution",
        "embed.norm": "encoder.stages.{s}.embeddings.normalization",
        "norm": "encoder.stages.{s}.normalization",
    },
    block="encoder.stages.{s}.layers.{j}",
    inner={
        "norm1": "pre_normomalization",
        "attn.proj_1": "attention.pre_projection.conv",
        "attn.lka.dw_conv": "attention.attention_layer.attention.depth_wise",
        "attn.lka.dw_d_conv": "attention.attention_layer.attention.depth_wise_dilated",
        "attn.lka.pw_conv": "attention.attention_layer.attention.point_wise",
        "attn.proj_2": "attention.post_projection",
        "layer_scale_1": "attention_scaling.weight",
        "norm2": "post_normalization",
        "ffn.fc1": "mlp.in_dense",
        "ffn.dw_conv": "mlp.depth_wise",
        "ffn.fc2": "mlp.out_dense",
        "layer_scale_2": "mlp_scaling.weight",
    },
    prefix="van.",
    head="classifier",
    # VanModel has this LayerNorm, but its forward pass averages without it.
    idle=("layernorm",),
)

# Another one is known everywhere once it is appended.
LAYOUTS: list[Layout] = [MMVAN, OFFICIAL, MMSEG, MMPRETRAIN, HUGGINGFACE]
