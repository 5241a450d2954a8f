"""Make of a training checkpoint the file that others get: weights alone, described and hashed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmvan.arch import ARCHS, Arch
from mmvan.checkpoint.download import sha256_of
from mmvan.checkpoint.recognise import find_backbone, read_arch
from mmvan.checkpoint.writing import ENDINGS, write_checkpoint
from mmvan.errors import CheckpointError
from mmvan.version import __version__

_HASH_DIGITS = 8  # OpenMMLab's and PyTorch's convention.
_KEPT = ("epoch", "iter", "experiment_name", "dataset_meta")


def publish_checkpoint(checkpoint: Mapping[str, Any], destination: Path) -> Path:
    """Write the weights of a checkpoint under a name that ends with the file's hash.

    Optimizer, schedules, logs, the config and the second set of weights that averaging keeps are
    left out. Where the weights were averaged in training, MMEngine has the average in
    ``state_dict``: that is what is published.

    Args:
        checkpoint: What ``read_checkpoint`` returns.
        destination: Name without hash, ``van_b_in1k.safetensors``; safetensors if it has no ending.

    Returns:
        Path: The file, ``van_b_in1k-0123abcd.safetensors``.

    Raises:
        CheckpointError: There are no weights, or the file cannot be written.
    """
    stem, ending = _split(destination.name)
    state_dict = checkpoint.get("state_dict", checkpoint)
    weights = {
        key.removeprefix("module."): value
        for key, value in state_dict.items()
        if isinstance(value, Tensor)
    }
    if not weights:
        raise CheckpointError(f"no tensor to publish; the checkpoint holds {', '.join(checkpoint)}")
    draft = destination.with_name(f".{stem}{ending}")
    write_checkpoint(draft, weights, _describe(weights, checkpoint.get("meta") or {}))
    file = destination.with_name(f"{stem}-{sha256_of(draft)[:_HASH_DIGITS]}{ending}")
    return draft.replace(file)


def _split(name: str) -> tuple[str, str]:
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.endswith(ending):
            return name.removesuffix(ending), ending
    return name, ENDINGS[0]


def _describe(weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be known of the weights; text but for the names of the classes."""
    described: dict[str, Any] = {
        "mmvan_version": __version__,
        "torch_version": str(torch.__version__),
    }
    for key in _KEPT:
        if key in meta:
            described[key] = meta[key] if key == "dataset_meta" else str(meta[key])
    found = find_backbone(weights)
    if found is not None:
        inside = {key.removeprefix(found.prefix): value for key, value in weights.items()}
        own = {found.layout.own_key(key): value for key, value in inside.items()}
        arch = read_arch({key: value for key, value in own.items() if key})
        described |= {"layout": found.layout.name, "arch": _arch_name(arch)}
    return described


def _arch_name(arch: Arch | None) -> str:
    return next((name for name, known in ARCHS.items() if known == arch), str(arch))
