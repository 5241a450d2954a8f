"""The file that repeats a step with non-finite values: weights, batches and random states.

It holds tensors and plain values only, so that PyTorch's safe loading reads it. The frameworks'
structures are stored as the name of their class and their fields.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmvan.errors import CheckpointError, DataError

_KIND = "__kind__"
_FORMAT = 1


@dataclass(frozen=True)
class Reproducer:
    """A step that gave non-finite values.

    Args:
        config: The config of the run.
        state_dict: The model's parameters and buffers before the step.
        batches: What the loader gave, and the random state in which the model received it.
        precision: The type of autocast, such as ``float16``, or None.
        scale: What the loss was multiplied by before the backward pass.
        message: What was found when it happened.
    """

    config: dict[str, Any]
    state_dict: Mapping[str, Tensor]
    batches: Sequence[tuple[Any, dict[str, Any]]]
    precision: str | None
    scale: float
    message: str


def write_reproducer(file: Path, reproducer: Reproducer) -> None:
    """Write a step into a file.

    Args:
        file: Its name.
        reproducer: The step.

    Raises:
        DataError: The batch holds something that is neither a tensor nor a plain value, nor one of
            the frameworks' structures.
        OSError: The file cannot be written.
    """
    plain = {
        "format": _FORMAT,
        "config": to_plain(reproducer.config, "config"),
        "state_dict": to_plain(dict(reproducer.state_dict), "state_dict"),
        "batches": to_plain(list(reproducer.batches), "batches"),
        "precision": reproducer.precision,
        "scale": reproducer.scale,
        "message": reproducer.message,
    }
    with file.open("wb") as stream:
        torch.save(plain, stream)


def read_reproducer(file: Path) -> Reproducer:
    """Read a file that :func:`write_reproducer` wrote; structures stay plain until needed.

    Args:
        file: Its name.

    Returns:
        Reproducer: The step; :func:`from_plain` makes its batches usable.

    Raises:
        CheckpointError: It is not such a file.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        if content["format"] != _FORMAT:
            raise CheckpointError(f"{file} has format {content['format']}; expected {_FORMAT}")
        del content["format"]
        return Reproducer(**content)
    except CheckpointError:
        raise
    except Exception as error:  # PyTorch raises many kinds for damaged files.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{file} cannot be read as what mmvan.NaNGuardHook writes (nan_*.pth): {reason}"
        ) from error


def to_plain(value: Any, name: str) -> Any:
    """Write a value by tensors, numbers, text, lists and dictionaries.

    Args:
        value: The value.
        name: What it is, for the message.

    Returns:
        Any: What :func:`from_plain` turns back. Classes, as in configs, become their names.

    Raises:
        DataError: It cannot be.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: to_plain(child, f"{name}.{key}") for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        children = [to_plain(child, f"{name}[{index}]") for index, child in enumerate(value)]
        return children if isinstance(value, list) else tuple(children)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, type) or callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return _structure(value, name)


def _structure(value: Any, name: str) -> dict[str, Any]:
    parts: dict[str, Any]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {_KIND: "array", "data": torch.from_numpy(np.ascontiguousarray(value).copy())}
    if isinstance(value, BaseDataElement):
        kind, parts = "element", {"fields": dict(value.items()), "meta": dict(value.metainfo)}
    elif isinstance(getattr(value, "tensor", None), Tensor):  # mmdet's boxes
        kind, parts = "boxes", {"arguments": [value.tensor]}
    elif hasattr(value, "masks") and hasattr(value, "height"):  # mmdet's masks
        kind, parts = "masks", {"arguments": [value.masks, value.height, value.width]}
    else:
        raise DataError(
            f"{name} is a {type(value).__name__}, which is neither a tensor nor a plain value"
        )
    path = [type(value).__module__, type(value).__qualname__]
    return {_KIND: kind, "class": path, **to_plain(parts, name)}


def from_plain(value: Any) -> Any:
    """Turn back what :func:`to_plain` wrote.

    Classes are taken only from modules that are imported already, as by building the model: a file
    imports nothing.

    Raises:
        CheckpointError: A class is not there.
    """
    if isinstance(value, Mapping):
        children = {key: from_plain(child) for key, child in value.items()}
        return _rebuild(children) if _KIND in children else children
    if isinstance(value, (list, tuple)):
        return type(value)(from_plain(child) for child in value)
    return value


def _rebuild(parts: dict[str, Any]) -> Any:
    if parts[_KIND] == "array":
        return parts["data"].numpy()
    module, name = parts["class"]
    kind = getattr(sys.modules.get(module), name, None)
    if not isinstance(kind, type):
        raise CheckpointError(
            f"the batch holds a {module}.{name}, which the model's library did not import"
        )
    if parts[_KIND] == "element":
        return kind(metainfo=parts["meta"], **parts["fields"])
    return kind(*parts["arguments"])
