"""Recognise a VAN backbone among the keys of a state dict: its layout, where it is, its size."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from mmvan.arch import ARCHS, Arch
from mmvan.checkpoint.layouts import LAYOUTS, MMVAN, OFFICIAL, Layout
from mmvan.errors import CheckpointError

_SHOWN = 8


class Found(NamedTuple):
    """A backbone in a state dict.

    Args:
        layout: How it is named.
        prefix: What all its keys begin with.
    """

    layout: Layout
    prefix: str


def find_backbone(keys: Iterable[str], prefix: str = "") -> Found | None:
    """Find the layout and the prefix that explain most of the keys.

    Args:
        keys: The keys of a state dict.
        prefix: Only keys that begin with it are looked at.

    Returns:
        Found | None: What was found, or None. Of two backbones of the same size, such as a model
        and its average, the one with the shorter prefix.
    """
    keys = [key for key in keys if key.startswith(prefix)]
    candidates = {
        Found(layout, start): None
        for layout in LAYOUTS
        for key in keys
        if key.endswith(layout.stem)
        and (start := key.removesuffix(layout.stem))[len(prefix) :][-1:] in ("", ".")
        and len(start) >= len(prefix)
    }
    return max(candidates, key=lambda found: (_hits(found, keys), -len(found.prefix)), default=None)


def likeliest_names(keys: Sequence[str]) -> tuple[Layout, dict[str, str]]:
    """The layout that has most of the keys, without any prefix, and our names for those it has."""
    likeliest, most = MMVAN, dict[str, str]()
    # One that has the first convolution has all, as a rule, and ends the search.
    for layout in sorted(LAYOUTS, key=lambda layout: layout.stem not in keys):
        names = layout.own_keys(keys)
        if len(names) > len(most):
            likeliest, most = layout, names
        if len(names) == len(keys):
            break
    return likeliest, most


def _hits(found: Found, keys: list[str]) -> int:
    start = len(found.prefix)
    inside = (key[start:] for key in keys if key.startswith(found.prefix))
    return len(found.layout.own_keys(inside))


def require_backbone(keys: Iterable[str], prefix: str = "") -> Found:
    """Find the backbone as :func:`find_backbone` does.

    Raises:
        CheckpointError: If there is none; the message shows what is there.
    """
    keys = list(keys)
    found = find_backbone(keys, prefix)
    if found is None:
        where = f"under the prefix {prefix!r} " if prefix else ""
        raise CheckpointError(
            f"no VAN backbone {where}in the checkpoint: its keys begin with "
            f"{listing(keys) or 'nothing at all'}; expected the names of the layouts "
            f"{', '.join(layout.name for layout in LAYOUTS)}, such as {OFFICIAL.stem}"
        )
    return found


def read_arch(tensors: Mapping[str, Tensor]) -> Arch | None:
    """Read the size of a backbone off its tensors.

    Args:
        tensors: By our own keys; some may be missing.

    Returns:
        Arch | None: Its widths and depths; None if not even the first stage can be read.
    """
    dims: list[int] = []
    depths: list[int] = []
    ratios: list[int] = []
    while (stem := tensors.get(f"stages.{len(dims)}.embed.proj.weight")) is not None:
        blocks = f"stages.{len(dims)}.blocks."
        depth = 0
        while f"{blocks}{depth}.norm1.weight" in tensors:
            depth += 1
        hidden = tensors.get(f"{blocks}0.ffn.fc1.weight", stem)
        dims.append(stem.shape[0])
        depths.append(depth)
        ratios.append(max(hidden.shape[0] // max(stem.shape[0], 1), 1))
    if not dims or 0 in dims or 0 in depths:
        return None
    return Arch(tuple(dims), tuple(depths), tuple(ratios))


def describe_arch(arch: Arch | None) -> str:
    """Say which arch a file fits."""
    if arch is None:
        return "the file holds too little to tell its arch"
    for name, known in ARCHS.items():
        if (known.embed_dims, known.depths) == (arch.embed_dims, arch.depths):
            return f"the file fits arch {name!r}"
    archs = ", ".join(f"{name} {_sizes(known)}" for name, known in ARCHS.items())
    sizes = f"embed_dims {list(arch.embed_dims)} and depths {list(arch.depths)}"
    return f"the file has {sizes}, which is no known arch ({archs})"


def listing(names: Iterable[str]) -> str:
    """The first of many names, and the number of the others."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _sizes(arch: Arch) -> str:
    return f"{list(arch.embed_dims)} {list(arch.depths)}"
