"""Recognise the layout of a state dict and translate it to ours, strictly, before it is loaded."""

from collections.abc import Iterable, Mapping, MutableMapping

from mmengine.logging import print_log
from torch import Tensor

from mmvan.arch import ARCHS, Arch
from mmvan.checkpoint.layouts import LAYOUTS, OFFICIAL, Layout
from mmvan.errors import CheckpointError

SHOWN = 8


def adapt_state_dict(
    state_dict: MutableMapping[str, Tensor], prefix: str, expected: Mapping[str, Tensor]
) -> None:
    """Rename the backbone's tensors to our names, in place, or refuse the whole state dict.

    Tensors of stages that the model does not build, and of anything but the backbone (a
    classification head), are left out of the dict with one log line.

    Args:
        state_dict: What is about to be loaded, in any known layout, with any further prefix.
        prefix: Prefix of the backbone in the model that is loaded, ``backbone.`` in a detector.
        expected: ``state_dict()`` of the backbone.

    Raises:
        CheckpointError: If no layout is recognised, or a tensor is missing, unknown or of another
            shape. Nothing has been changed then.
    """
    layout, inner_prefix = _recognise(state_dict, prefix, expected)
    start = prefix + inner_prefix
    source = {key.removeprefix(start): key for key in state_dict if key.startswith(start)}
    names = {own: layout.key(own) for own in expected}
    tensors = {name: state_dict[key] for name, key in source.items()}
    others = source.keys() - set(names.values())
    problems = _problems(layout, names, tensors, expected, others)
    if problems:
        raise CheckpointError(_explain(layout, inner_prefix, tensors, problems))

    found = {own: tensors[name] for own, name in names.items() if name in tensors}
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]
    state_dict.update({prefix + own: tensor for own, tensor in found.items()})
    if layout.name != "mmvan" or others:
        dropped = f"; not used here: {_listing(sorted(others))}" if others else ""
        print_log(
            f"VAN backbone: {len(found)} tensors loaded from the {layout.name} layout{dropped}",
            logger="current",
        )


def _recognise(
    state_dict: Mapping[str, Tensor], prefix: str, expected: Mapping[str, Tensor]
) -> tuple[Layout, str]:
    """The layout, and the prefix that its keys have after ours, that explain most of the keys."""
    candidates = []
    for layout in LAYOUTS:
        for key in state_dict:
            inner_prefix = key.removeprefix(prefix).removesuffix(layout.stem)
            if key == prefix + inner_prefix + layout.stem and inner_prefix[-1:] in ("", "."):
                start = prefix + inner_prefix
                hits = sum(start + layout.key(own) in state_dict for own in expected)
                candidates.append((hits, -len(inner_prefix), layout, inner_prefix))
    if candidates:
        _, _, layout, inner_prefix = max(candidates, key=lambda candidate: candidate[:2])
        return layout, inner_prefix
    where = f"under the prefix {prefix!r} " if prefix else ""
    raise CheckpointError(
        f"no VAN backbone {where}in the checkpoint: its keys begin with "
        f"{_listing(list(state_dict)) or 'nothing at all'}; expected {_listing(list(expected))} "
        f"or the names of the layouts {', '.join(layout.name for layout in LAYOUTS)}, such as "
        f"{OFFICIAL.stem}. A file of the backbone alone goes into the backbone: "
        "init_cfg=dict(type='Pretrained', checkpoint=...)"
    )


def _problems(
    layout: Layout,
    names: Mapping[str, str],
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    others: Iterable[str],
) -> dict[str, list[str]]:
    built = {layout.stage_of(name) for name in names.values()}
    problems = {
        "missing": [
            name
            for name in names.values()
            if name not in tensors and not name.endswith("num_batches_tracked")
        ],
        "unknown": sorted(name for name in others if layout.stage_of(name) in built),
        "wrong shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(expected[own].shape)}"
            for own, name in names.items()
            if name in tensors and tensors[name].shape != expected[own].shape
        ],
    }
    return {kind: found for kind, found in problems.items() if found}


def _explain(
    layout: Layout, inner_prefix: str, tensors: Mapping[str, Tensor], problems: dict[str, list[str]]
) -> str:
    where = f" under the prefix {inner_prefix!r}" if inner_prefix else ""
    lines = [f"the checkpoint ({layout.name} layout{where}) does not fit this VAN backbone:"]
    lines += [f"  {len(found)} {kind}: {_listing(found)}" for kind, found in problems.items()]
    lines.append(f"  {_fit(layout, tensors)}; nothing was loaded")
    return "\n".join(lines)


def _fit(layout: Layout, tensors: Mapping[str, Tensor]) -> str:
    """Which arch the file is, read off its tensors."""
    dims: list[int] = []
    depths: list[int] = []
    while (stem := layout.key(f"stages.{len(dims)}.embed.proj.weight")) in tensors:
        stage = f"stages.{len(dims)}"
        dims.append(tensors[stem].shape[0])
        depth = 0
        while layout.key(f"{stage}.blocks.{depth}.norm1.weight") in tensors:
            depth += 1
        depths.append(depth)
    for name, arch in ARCHS.items():
        if (arch.embed_dims, arch.depths) == (tuple(dims), tuple(depths)):
            return f"the file fits arch {name!r}"
    known = ", ".join(f"{name} {_sizes(arch)}" for name, arch in ARCHS.items())
    return f"the file has embed_dims {dims} and depths {depths}, which is no known arch ({known})"


def _sizes(arch: Arch) -> str:
    return f"{list(arch.embed_dims)} {list(arch.depths)}"


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
