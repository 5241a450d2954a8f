"""The seven published architectures (arXiv 2202.09741, Table 2) and their names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from mmvan.errors import ModelError


@dataclass(frozen=True)
class Arch:
    """Widths and depths of one Visual Attention Network.

    Args:
        embed_dims: Channels of each stage.
        depths: Number of blocks in each stage.
        ffn_ratios: Hidden over input channels of the feed-forward part of each stage.

    Raises:
        ModelError: If the three have different lengths or hold anything but positive integers.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    ffn_ratios: tuple[int, ...] = (8, 8, 4, 4)

    def __post_init__(self) -> None:
        for name, values in asdict(self).items():
            if not all(isinstance(value, int) and value > 0 for value in values):
                raise ModelError(f"arch[{name!r}] must hold positive integers, got {values!r}")
        lengths = {name: len(values) for name, values in asdict(self).items()}
        if len(set(lengths.values())) != 1 or not self.depths:
            raise ModelError(f"arch needs one entry per stage in every list, got {lengths}")


ARCHS: dict[str, Arch] = {
    "b0": Arch((32, 64, 160, 256), (3, 3, 5, 2)),
    "b1": Arch((64, 128, 320, 512), (2, 2, 4, 2)),
    "b2": Arch((64, 128, 320, 512), (3, 3, 12, 3)),
    "b3": Arch((64, 128, 320, 512), (3, 5, 27, 3)),
    "b4": Arch((64, 128, 320, 512), (3, 6, 40, 3)),
    "b5": Arch((96, 192, 480, 768), (3, 3, 24, 3)),
    "b6": Arch((96, 192, 384, 768), (6, 6, 90, 6)),
}

ALIASES: dict[str, str] = {
    "t": "b0",
    "tiny": "b0",
    "s": "b1",
    "small": "b1",
    "b": "b2",
    "base": "b2",
    "l": "b3",
    "large": "b3",
    "h": "b4",
    "huge": "b4",
}


def get_arch(arch: str | Mapping[str, Sequence[int]]) -> Arch:
    """Look up an architecture by name, or make one from a dict.

    Args:
        arch: ``b0`` to ``b6``, an alias (``t tiny s small b base l large h huge``), or a dict with
            ``embed_dims``, ``depths`` and, optionally, ``ffn_ratios``.

    Raises:
        ModelError: If the name is unknown, or the dict has missing, unknown or unusable entries.
    """
    if isinstance(arch, str):
        name = arch.lower()
        name = ALIASES.get(name, name)
        if name not in ARCHS:
            raise ModelError(f"unknown arch {arch!r}: choose from {[*ARCHS, *ALIASES]} or a dict")
        return ARCHS[name]
    if not isinstance(arch, Mapping):
        raise ModelError(f"arch must be a name or a dict, got {type(arch).__name__}: {arch!r}")
    known = [field.name for field in fields(Arch)]
    unknown, missing = set(arch) - set(known), {"embed_dims", "depths"} - set(arch)
    if unknown or missing:
        raise ModelError(
            f"arch dict takes the keys {known}: missing {sorted(missing)}, "
            f"unknown {sorted(unknown)}"
        )
    return Arch(**{key: _as_tuple(key, values) for key, values in arch.items()})


def _as_tuple(key: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ModelError(f"arch[{key!r}] must be a list of integers, got {values!r}")
    return tuple(values)
