"""How the published VAN checkpoints name the tensors that mmvan has.

Every layout is one table of names, and a rename is a walk over our own key: each key has exactly
one name in each layout, so the translation loses nothing and can be undone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

OWN_KEY = re.compile(
    r"stages\.(?P<stage>\d+)\."
    r"(?:(?P<part>embed\.proj|embed\.norm|norm)|blocks\.(?P<block>\d+)\.(?P<inner>.+?))"
    r"(?P<leaf>\.(?:weight|bias|running_mean|running_var|num_batches_tracked))?"
)


@dataclass(frozen=True)
class Layout:
    """The names that one codebase gives to the tensors of a VAN backbone.

    Args:
        name: Name of the layout.
        parts: Our name of a part of a stage, to the layout's. ``{i}`` is the stage counted from 1,
            ``{s}`` counted from 0.
        block: Name of a block; ``{j}`` is the block counted from 0.
        inner: Our name of a module or parameter inside a block, to the layout's; a name that is
            not listed is the same in both.
        stages: Pattern of the keys that belong to a stage, its number in the group ``i`` or ``s``.
    """

    name: str
    parts: Mapping[str, str]
    block: str
    inner: Mapping[str, str]
    stages: re.Pattern[str]

    def key(self, own_key: str) -> str:
        """The layout's name for a key of ours.

        Args:
            own_key: A key of ``VAN.state_dict()``.

        Raises:
            ValueError: If the key is not one of a VAN backbone.
        """
        match = OWN_KEY.fullmatch(own_key)
        if match is None:
            raise ValueError(f"{own_key!r} is not a key of a VAN backbone")
        numbers = {"s": int(match["stage"]), "i": int(match["stage"]) + 1, "j": match["block"]}
        leaf = match["leaf"] or ""
        if match["part"]:
            return self.parts[match["part"]].format(**numbers) + leaf
        inner = self.inner.get(match["inner"], match["inner"])
        return f"{self.block.format(**numbers)}.{inner}{leaf}"

    def stage_of(self, key: str) -> int | None:
        """The stage, counted from 0, that a key in this layout belongs to; None for other keys."""
        match = self.stages.match(key)
        if match is None:
            return None
        return int(match["s"]) if "s" in self.stages.groupindex else int(match["i"]) - 1

    @property
    def stem(self) -> str:
        """The layout's name for the weight of the first convolution, which every VAN has."""
        return self.key("stages.0.embed.proj.weight")


MMVAN = Layout(
    "mmvan",
    parts={name: f"stages.{{s}}.{name}" for name in ("embed.proj", "embed.norm", "norm")},
    block="stages.{s}.blocks.{j}",
    inner={},
    stages=re.compile(r"stages\.(?P<s>\d+)\."),
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
    stages=re.compile(r"(?:patch_embed|block|norm)(?P<i>\d+)\."),
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
    stages=re.compile(r"(?:patch_embed|blocks|norm)(?P<i>\d+)\."),
)

LAYOUTS: tuple[Layout, ...] = (MMVAN, OFFICIAL, MMSEG, MMPRETRAIN)
