"""Write checkpoint files: whole or not at all, and without anything that could be executed."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mmvan.errors import CheckpointError

ENDINGS = (".safetensors", ".pth", ".pth.tar", ".pt", ".bin")


def write_checkpoint(
    file: Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any], *, wrapped: bool = True
) -> None:
    """Write weights in the format that the file's name asks for.

    The file appears under its name when all of it is on the disk, never before.

    Args:
        file: The name, with one of the endings ``.safetensors .pth .pth.tar .pt .bin``.
        state_dict: The weights.
        meta: What is to be known about them. In safetensors, text and ``dataset_meta`` only.
        wrapped: Put the weights under ``state_dict`` and ``meta`` beside them; safetensors have a
            place of their own for both.

    Raises:
        CheckpointError: The ending is unknown, or the file cannot be written.
    """
    check_ending(file)
    # Tensors that share memory, or with holes, are stored as they are seen.
    plain = {key: tensor.detach().clone().contiguous() for key, tensor in state_dict.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        os.close(handle)
        try:
            if file.name.endswith(".safetensors"):
                save_file(plain, name, metadata=_as_text(meta))
            else:
                torch.save({"state_dict": plain, "meta": dict(meta)} if wrapped else plain, name)
            put_in_place(Path(name), file)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be written: {error}") from error


def check_ending(file: Path) -> None:
    """Check that a name tells a format.

    Raises:
        CheckpointError: It does not; the message names those that do.
    """
    if not file.name.endswith(ENDINGS):
        raise CheckpointError(f"{file}: the ending must be one of {', '.join(ENDINGS)}")


def _as_text(meta: Mapping[str, Any]) -> dict[str, str]:
    """Safetensors hold text only; transformers asks for the entry ``format``."""
    text = {key: value for key, value in meta.items() if isinstance(value, str)}
    if "dataset_meta" in meta:
        text["dataset_meta"] = json.dumps(meta["dataset_meta"])
    return {"format": "pt", **text}


def put_in_place(part: Path, file: Path) -> None:
    """Give a finished file its name, when all of it is on the disk.

    Args:
        part: The file under a temporary name, on the disk of ``file``.
        file: Its name; what is there is replaced.
    """
    part.chmod(_usual_mode(part))  # mkstemp's own mode is for its owner alone.
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(file)


def _usual_mode(beside: Path) -> int:
    """The mode that a new file gets; reading the process's umask would change it for a moment."""
    probe = beside.with_name(f"{beside.name}.mode")
    handle = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        probe.unlink()
