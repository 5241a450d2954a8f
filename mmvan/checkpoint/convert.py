"""Rename a checkpoint from one published layout to another, strictly and without loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor

from mmvan.arch import Arch
from mmvan.checkpoint.adapt import adapt_state_dict
from mmvan.checkpoint.layouts import HUGGINGFACE, LAYOUTS, MMVAN, Layout
from mmvan.checkpoint.recognise import listing, read_arch, require_backbone
from mmvan.checkpoint.shapes import backbone_shapes
from mmvan.checkpoint.whole_model import move, outer_prefix
from mmvan.errors import CheckpointError

_LEAVES = ("weight", "bias")
_OWN = MMVAN.prefix


@dataclass(frozen=True)
class Converted:
    """A converted checkpoint.

    Args:
        state_dict: The weights in the layout that was asked for.
        source: Name of the layout that was recognised.
        arch: Size of the backbone.
        num_classes: Outputs of the classifier; None if the file has none.
        num_added: Tensors that the layout has and the source lacks; nothing computes with them.
        num_dropped: Entries of the source that are not in the result.
    """

    state_dict: dict[str, Tensor]
    source: str
    arch: Arch
    num_classes: int | None
    num_added: int
    num_dropped: int


def convert_state_dict(
    state_dict: Mapping[str, Any], target: str, *, backbone_only: bool = False
) -> Converted:
    """Convert a state dict.

    A backbone alone stays one, without a prefix; a classifier's head is renamed too; the heads of
    detectors and segmentors have the same names in all OpenMMLab layouts and keep them.

    Args:
        state_dict: Weights in any known layout, with any prefix.
        target: Name of a layout.
        backbone_only: Leave everything else out.

    Raises:
        CheckpointError: The layout is unknown, the file does not fit any VAN, or it holds parts
            that the target has no name for.
    """
    layout = _layout(target)
    found = require_backbone(state_dict)
    outer = outer_prefix(found)
    moved = move(found, {k: v for k, v in state_dict.items() if k.startswith(outer)}, "", _OWN)
    backbone, arch = _own_backbone(found.layout, moved)
    rest = {k: v for k, v in moved.items() if isinstance(v, Tensor) and not k.startswith(_OWN)}
    head = {leaf: rest.pop(key) for leaf in _LEAVES if (key := f"{MMVAN.head}.{leaf}") in rest}
    for module in found.layout.idle:
        rest = {key: value for key, value in rest.items() if not key.startswith(f"{module}.")}
    if backbone_only:
        head, rest = {}, {}
    if rest and layout is HUGGINGFACE:
        raise CheckpointError(
            f"the {target} layout has no names for {listing(rest)}; --backbone-only leaves them out"
        )
    prefix = _OWN if rest else layout.prefix if head else ""
    idle = _idle_tensors(layout, backbone)
    return Converted(
        state_dict={
            **{prefix + layout.key(own): tensor for own, tensor in backbone.items()},
            **{prefix + key: tensor for key, tensor in idle.items()},
            **{f"{layout.head}.{leaf}": tensor for leaf, tensor in head.items()},
            **rest,
        },
        source=found.layout.name,
        arch=arch,
        num_classes=len(head["weight"]) if "weight" in head else None,
        num_added=len(idle),
        num_dropped=len(state_dict) - len(backbone) - len(head) - len(rest),
    )


def _layout(name: str) -> Layout:
    by_name = {layout.name: layout for layout in LAYOUTS}
    if name not in by_name:
        raise CheckpointError(f"unknown layout {name!r}: choose from {', '.join(by_name)}")
    return by_name[name]


def _own_backbone(layout: Layout, moved: Mapping[str, Any]) -> tuple[dict[str, Tensor], Arch]:
    """The backbone by our own keys, as complete as the size read off it demands."""
    inside = {key.removeprefix(_OWN): value for key, value in moved.items() if key.startswith(_OWN)}
    backbone = {key: value for key, value in inside.items() if layout.stage_of(key) is not None}
    own = {layout.own_key(key): value for key, value in backbone.items()}
    arch = read_arch({k: v for k, v in own.items() if k and isinstance(v, Tensor)})
    if arch is None:
        raise CheckpointError(
            f"the checkpoint has names of the {layout.name} layout, but not one complete stage"
        )
    in_channels = backbone[layout.stem].shape[1]
    shapes = backbone_shapes(arch, in_channels)
    adapt_state_dict(backbone, "", {key: _meta_tensor(key, shapes[key]) for key in shapes})
    return backbone, arch


def _meta_tensor(key: str, shape: Size) -> Tensor:
    dtype = torch.int64 if key.endswith("num_batches_tracked") else torch.float32
    return torch.empty(shape, dtype=dtype, device="meta")


def _idle_tensors(layout: Layout, backbone: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a layout's modules hold that nothing computes with: a LayerNorm as it is created."""
    last = backbone[max(key for key in backbone if key.count(".") == 3 and ".norm." in key)]
    values = {"weight": torch.ones_like(last), "bias": torch.zeros_like(last)}
    return {f"{module}.{leaf}": values[leaf] for module in layout.idle for leaf in _LEAVES}
