"""Read checkpoint files without executing what they hold.

A pickle can run any code when it is read. PyTorch's safe loader rebuilds only tensors and plain
values and what :mod:`mmvan.checkpoint.safe_globals` allows; anything else is refused here with the
name of what the file asked for. There is no second attempt without the check: whoever trusts a
file says so by :func:`mmvan.checkpoint.trust.trust_pickles`.
"""

import argparse
import json
import pickle
from collections.abc import Iterator, Mapping
from functools import cache
from logging import WARNING
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mmvan.checkpoint.outline import check_checkpoint, is_safetensors
from mmvan.checkpoint.trust import pickles_are_trusted
from mmvan.checkpoint.wrappers import state_dict_of
from mmvan.errors import CheckpointError

# timm and DeiT keep the command line beside the weights; it is a plain record of values.
_ARGUMENTS: list[Any] = [argparse.Namespace]
# How far the tensors of a file may exceed its size; views of one value may be wider than it.
_SPARE_BYTES = 2**30


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint: a file of ``torch.save`` or safetensors, told by its content.

    Args:
        path: A local file.
        map_location: As for ``torch.load``; safetensors are always read into CPU memory.

    Returns:
        dict[str, Any]: What the file holds. The weights are under ``state_dict``, or the dict
        itself is the state dict. For safetensors ``meta`` holds the file's metadata.

    Raises:
        CheckpointError: The file is missing, damaged, not a checkpoint, or asks for code to be
            executed; the message names what.
    """
    file = Path(path).expanduser()
    check_checkpoint(str(file), "checkpoint")
    if is_safetensors(file):
        checkpoint = _read_safetensors(file)
    else:
        checkpoint = _read_torch(file, map_location)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"checkpoint {file} holds a {type(checkpoint).__name__}; expected a state dict"
        )
    _check_declared_size(file, checkpoint)
    state_dict = state_dict_of(checkpoint)
    if state_dict is checkpoint:  # As it is: PyTorch's own have versions in an attribute.
        return checkpoint
    return {**checkpoint, "state_dict": state_dict}


def weights_in(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict in what :func:`read_checkpoint` returned."""
    return checkpoint.get("state_dict", checkpoint)


def _read_safetensors(file: Path) -> dict[str, Any]:
    try:
        with safe_open(file, framework="pt") as stream:
            # safe_open has no iterator over its own keys.
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
            metadata = stream.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"checkpoint {file} is damaged: {error}") from error
    return {"state_dict": tensors, "meta": _decode(file, metadata)}


def _decode(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Metadata as it was before it was written: one entry is not text."""
    if "dataset_meta" not in metadata:
        return {**metadata}
    try:
        return {**metadata, "dataset_meta": json.loads(metadata["dataset_meta"])}
    except ValueError as error:
        raise CheckpointError(
            f"checkpoint {file}: the entry dataset_meta of its metadata is not JSON: {error}"
        ) from error


def _read_torch(file: Path, map_location: Any) -> Any:
    _warn_of_old_torch()
    try:
        # Open, since torch.load goes by the name of a file before it looks into it.
        with file.open("rb") as stream, torch.serialization.safe_globals(_ARGUMENTS):
            return torch.load(
                stream, map_location=map_location, weights_only=not pickles_are_trusted()
            )
    except pickle.UnpicklingError as error:
        raise CheckpointError(_explain_refusal(file, error)) from error
    except Exception as error:
        # A damaged pickle can fail in any way.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(f"checkpoint {file} is damaged: {reason}") from error


@cache
def _warn_of_old_torch() -> None:
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        print_log(
            f"PyTorch {torch.__version__} has a known hole in its safe loader (CVE-2026-24747): "
            "for files from others take safetensors, or PyTorch 2.10 or later",
            logger="current",
            level=WARNING,
        )


def _explain_refusal(file: Path, error: Exception) -> str:
    try:
        with torch.serialization.safe_globals(_ARGUMENTS):
            named = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except (ValueError, RuntimeError, pickle.UnpicklingError):  # Not an archive, or damaged too.
        named = []
    reason = f"it asks for {', '.join(named)}" if named else _first_sentence(error)
    return (
        f"checkpoint {file} is refused: {reason}. A checkpoint needs tensors and plain values "
        "only; reading this one could execute code. Get the weights from their publisher as "
        "safetensors or a plain state dict. If you made the file and trust it, the tools take "
        "--unsafe, get_model unsafe=True"
    )


def _first_sentence(error: Exception) -> str:
    """The part of PyTorch's message that says what was found, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "GLOBAL" in line or "WeightsUnpickler error" in line]
    return (telling or lines or [type(error).__name__])[0].partition(". ")[0].rstrip(".")


def _check_declared_size(file: Path, checkpoint: Mapping[str, Any]) -> None:
    declared = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(checkpoint))
    size = file.stat().st_size
    if declared > size + _SPARE_BYTES:
        raise CheckpointError(
            f"checkpoint {file} is refused: it declares tensors of {declared / 2**30:.1f} GiB "
            f"and has {size} bytes"
        )


def _tensors(root: Any) -> Iterator[Tensor]:
    """All tensors in nested containers; a file may hold containers that contain themselves."""
    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, Mapping) else value)
