"""How the published VAN checkpoints name the tensors that mmvan has.

Every layout is one table of names. It gives each tensor exactly one name and leads back from that
name to the tensor, so that a translation loses nothing in either direction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

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
_NUMBER = re.compile(r"\\\{([sij])\\\}")
_LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_LEAF = rf"(?P<leaf>\.(?:{'|'.join(_LEAVES)}))?"


class Place(NamedTuple):
    """Where a tensor belongs in a VAN backbone.

    Args:
        stage: Stage, counted from 0.
        block: Block in the stage, counted from 0; None for the stage's own parts.
        part: Our name of the module or parameter in there, one of ``PARTS`` or ``INNER``.
        leaf: ``.weight``, ``.running_mean`` and so on; empty for a parameter.
    """

    stage: int
    block: int | None
    part: str
    leaf: str


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
        place = MMVAN.place(own_key)
        if place is None:
            raise ValueError(f"{own_key!r} is not a key of a VAN backbone")
        return self._name(place)

    def own_key(self, key: str) -> str | None:
        """Our name for a key in this layout; None for a key that is not a backbone's."""
        return own_key(self, key)

    def place(self, key: str) -> Place | None:
        """Where a key in this layout belongs; None for a key that is not a backbone's."""
        match = self._block_pattern.match(key)
        if match is not None:
            found = self._inner_names.get(key[match.end() :])
            return found and Place(self._stage(match), int(match["j"]), *found)
        for part, pattern in self._part_patterns.items():
            match = pattern.fullmatch(key)
            if match is not None:
                return Place(self._stage(match), None, part, match["leaf"] or "")
        return None

    def stage_of(self, key: str) -> int | None:
        """The stage, from 0, whose names a key begins like, known or not; None for other keys."""
        for template in (*self.parts.values(), self.block):
            match = re.match(_pattern(template.partition("}")[0] + "}") + r"\.", key)
            if match:
                return self._stage(match)
        return None

    @cached_property
    def stem(self) -> str:
        """The layout's name for the weight of the first convolution, which every VAN has."""
        return self.key("stages.0.embed.proj.weight")

    @cached_property
    def starts(self) -> tuple[str, ...]:
        """What the names of its tensors begin with."""
        return tuple({name.partition("{")[0] for name in (*self.parts.values(), self.block)})

    @cached_property
    def _part_patterns(self) -> dict[str, re.Pattern[str]]:
        return {part: re.compile(_pattern(name) + _LEAF) for part, name in self.parts.items()}

    @cached_property
    def _block_pattern(self) -> re.Pattern[str]:
        return re.compile(_pattern(self.block) + r"\.")

    @cached_property
    def _inner_names(self) -> dict[str, tuple[str, str]]:
        """Our part and leaf of everything that can follow the name of a block."""
        leaves = ("", *(f".{leaf}" for leaf in _LEAVES))
        return {
            self.inner.get(name, name) + leaf: (name, leaf) for name in INNER for leaf in leaves
        }

    def _name(self, place: Place) -> str:
        stage, block, part, leaf = place
        template = self.block if block is not None else self.parts[part]
        name = template.format(s=stage, i=stage + 1, j=block)
        return f"{name}{leaf}" if block is None else f"{name}.{self.inner.get(part, part)}{leaf}"

    @staticmethod
    def _stage(match: re.Match[str]) -> int:
        groups = match.groupdict()
        return int(groups["s"]) if "s" in groups else int(groups["i"]) - 1


# A name is looked at several times while a file is recognised and renamed.
@lru_cache(maxsize=2**14)
def own_key(layout: Layout, key: str) -> str | None:
    """As :meth:`Layout.own_key`."""
    place = layout.place(key)
    return None if place is None else MMVAN._name(place)


def _pattern(template: str) -> str:
    return _NUMBER.sub(r"(?P<\1>\\d+)", re.escape(template))


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
