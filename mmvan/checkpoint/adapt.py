"""Give the backbone in a state dict our names, before it is loaded.

:func:`rename_backbone` is what every way of loading passes through: it renames, and PyTorch judges
what is missing, left over or of another shape. :func:`adapt_state_dict` is for the files that mmvan
itself loads, wholly or not at all.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from logging import WARNING
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmvan.checkpoint.layouts import LAYOUTS, MMVAN
from mmvan.checkpoint.recognise import (
    Found,
    describe_arch,
    find_backbone,
    likeliest_names,
    listing,
    read_arch,
    require_backbone,
)
from mmvan.errors import CheckpointError


def rename_backbone(
    state_dict: MutableMapping[str, Any], prefix: str, unexpected: Sequence[str]
) -> None:
    """Rename the backbone's tensors from the layout that they are in to ours, in place.

    Everything else passes: other keys, and names that the layout of most keys does not have.

    Args:
        state_dict: What is about to be loaded.
        prefix: Prefix of the backbone in it, ``backbone.`` in a detector; other prefixes are not
            looked for.
        unexpected: Keys of the file that PyTorch has found no place for so far.
    """
    inside = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
    if not inside:
        _tell_of_the_hook(unexpected, prefix)
    starts = tuple(start for other in LAYOUTS if other is not MMVAN for start in other.starts)
    if not any(key.startswith(starts) for key in inside):
        return
    layout, names = likeliest_names(inside)
    if layout is MMVAN:
        return
    renamed = [key for key, own in names.items() if prefix + own not in state_dict]
    for key in renamed:
        state_dict[prefix + names[key]] = state_dict.pop(prefix + key)
    print_log(
        f"VAN backbone: {len(renamed)} tensors renamed from the {layout.name} layout",
        logger="current",
    )


def _tell_of_the_hook(unexpected: Sequence[str], prefix: str) -> None:
    """Warn where a backbone has no place; whether that is an error, only who loads knows."""
    if find_backbone(unexpected) is None:
        return
    print_log(
        f"nothing of the VAN backbone {prefix.removesuffix('.')!r} is in what is loaded. A "
        "whole model in another layout (the authors', transformers') is fitted to this one by "
        "default_hooks = dict(adapt_checkpoint=dict(type='mmvan.AdaptCheckpointHook')) in the "
        "config",
        logger="current",
        level=WARNING,
    )


def adapt_state_dict(
    state_dict: MutableMapping[str, Tensor], prefix: str, expected: Mapping[str, Tensor]
) -> None:
    """Rename the backbone's tensors to our names, in place, or refuse the whole state dict.

    Tensors of stages that the model does not build, and of anything but the backbone (a
    classification head), are left out of the dict with one log line.

    Args:
        state_dict: What is about to be loaded, in any known layout, with any further prefix.
        prefix: Prefix of the backbone in the model that is loaded, ``backbone.`` in a detector.
        expected: ``state_dict()`` of the backbone; only names, shapes and kinds matter.

    Raises:
        CheckpointError: If no layout is recognised, or a tensor is missing, unknown, of another
            shape or kind, or holds NaN or infinite values. Nothing has been changed then.
    """
    found = require_backbone(state_dict, prefix)
    source = {
        key.removeprefix(found.prefix): key for key in state_dict if key.startswith(found.prefix)
    }
    names = {own: found.layout.key(own) for own in expected}
    tensors = {own: state_dict[source[name]] for own, name in names.items() if name in source}
    others = sorted(source.keys() - set(names.values()))
    problems = _problems(found, names, tensors, expected, others)
    if problems:
        whole = {found.layout.own_key(name): state_dict[key] for name, key in source.items()}
        raise CheckpointError(
            _explain(found, prefix, problems, describe_arch(read_arch(_named(whole))))
        )

    given = [key for key in state_dict if key.startswith(prefix)]
    unused = others + [key for key in given if not key.startswith(found.prefix)]
    for key in given:
        del state_dict[key]
    state_dict.update({prefix + own: tensor for own, tensor in tensors.items()})
    if found.layout is not MMVAN or unused:
        dropped = f"; not used here: {listing(unused)}" if unused else ""
        print_log(
            f"VAN backbone: {len(tensors)} tensors loaded from the {found.layout.name} layout"
            f"{dropped}",
            logger="current",
        )


def _named(tensors: Mapping[str | None, Any]) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if key and isinstance(value, Tensor)}


def _problems(
    found: Found,
    names: Mapping[str, str],
    tensors: Mapping[str, Any],
    expected: Mapping[str, Tensor],
    others: list[str],
) -> dict[str, list[str]]:
    """Lists of names, by what is wrong with them."""
    built = {found.layout.stage_of(name) for name in names.values()}
    problems: dict[str, list[str]] = {
        "missing": [
            name
            for own, name in names.items()
            if own not in tensors and not own.endswith("num_batches_tracked")
        ],
        "unknown": [name for name in others if found.layout.stage_of(name) in built],
    }
    for own, tensor in tensors.items():
        fault = _fault(tensor, expected[own])
        if fault:
            kind, detail = fault
            problems.setdefault(kind, []).append(f"{names[own]}{detail}")
    return {kind: faulty for kind, faulty in problems.items() if faulty}


def _fault(tensor: Any, expected: Tensor) -> tuple[str, str] | None:
    """What is wrong with a tensor: the kind of fault and its detail."""
    fault = value_fault(tensor, expected)
    if fault is None and tensor.shape != expected.shape:
        return "wrong shape", f" {tuple(tensor.shape)} instead of {tuple(expected.shape)}"
    return fault


def value_fault(value: Any, expected: Tensor) -> tuple[str, str] | None:
    """Why a value cannot be a tensor's at all, whatever its shape.

    Args:
        value: What a file holds.
        expected: The tensor that would get it.

    Returns:
        tuple[str, str] | None: The kind of fault and its detail; None if there is none.
    """
    if not isinstance(value, Tensor):
        return "not a tensor", f" ({type(value).__name__})"
    dense = value.layout == torch.strided and not value.is_quantized
    if not dense or (value.is_meta and not expected.is_meta):
        return "without plain values", f" ({value.layout}, {value.device})"
    is_number = value.is_floating_point() == expected.is_floating_point() and not value.is_complex()
    if not is_number or (value.is_floating_point() and value.element_size() == 1):
        return "wrong dtype", f" {value.dtype} instead of {expected.dtype}"
    if _has_nan(value):
        return "with NaN or infinite values", f" ({int((~torch.isfinite(value)).sum())} of them)"
    return None


def _has_nan(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.is_meta:
        return False
    # The quick sum is finite only if all values are; of finite ones it can overflow.
    return not torch.isfinite(tensor.sum()) and not bool(torch.isfinite(tensor).all())


def _explain(found: Found, prefix: str, problems: dict[str, list[str]], fit: str) -> str:
    inner = found.prefix.removeprefix(prefix)
    where = f" under the prefix {inner!r}" if inner else ""
    lines = [f"the checkpoint ({found.layout.name} layout{where}) does not fit this VAN backbone:"]
    lines += [f"  {len(names)} {kind}: {listing(names)}" for kind, names in problems.items()]
    if problems.keys() == {"wrong shape"} and problems["wrong shape"][0].startswith(
        found.layout.stem
    ):
        lines.append(
            "  the file is for another number of input channels: "
            "init_cfg=dict(type='Pretrained', checkpoint=..., adapt_in_channels=True) fits it"
        )
    lines.append(f"  {fit}; nothing was loaded")
    return "\n".join(lines)
