"""The checkpoint that a run in a work directory is continued from."""

import re
from pathlib import Path

import torch
from mmengine.logging import print_log

from mmvan.engine.storage import archive_fault
from mmvan.errors import CheckpointError

# The best ones hold no optimizer; what begins with a dot was not finished.
_NO_RUNS = re.compile(r"best_|\.")


def latest_checkpoint(work_dir: str) -> str | None:
    """The newest checkpoint in a work directory whose checksums hold.

    The newest is that with the highest iteration, whatever ``last_checkpoint`` says, which may have
    been lost or be older. A line tells of those that were passed over, and why. Where there are
    none and it names another folder, as with the CheckpointHook's ``out_dir``, that is searched; an
    address in another storage than the local disk is taken as it is.

    Args:
        work_dir: The directory that the CheckpointHook wrote to. It may have been moved.

    Returns:
        str | None: The path, or None when nothing was saved there.

    Raises:
        CheckpointError: All that was saved is damaged or gone.
    """
    pointer = Path(work_dir, "last_checkpoint")
    stated = pointer.read_text().strip() if pointer.is_file() else ""
    if "://" in stated:
        return stated
    passed_over: list[str] = []
    found = _candidates(Path(work_dir)) or _candidates(Path(stated or pointer).parent)
    for file, fault in found:
        fault = fault or archive_fault(file)
        if fault is None:
            if passed_over:
                print_log(
                    f"--resume: {file} is taken; passed over: {'; '.join(passed_over)}", "current"
                )
            return str(file)
        passed_over.append(f"{file.name}, {fault}")
    if passed_over:
        raise CheckpointError(
            f"--resume: no checkpoint in {work_dir} can be used: {'; '.join(passed_over)}. Name "
            "another one by --resume PATH, or start anew without --resume"
        )
    if pointer.is_file():
        raise CheckpointError(
            f"--resume: {pointer} names {stated or 'nothing'}, but there is "
            f"no checkpoint in {work_dir}. Name one by --resume PATH, or remove {pointer}"
        )
    return None


def _candidates(folder: Path) -> list[tuple[Path, str | None]]:
    """The files in question, the newest first, with what is wrong with their content if anything.

    Damaged ones, whose iteration is not known, come first: they are told of.
    """
    readable: list[tuple[int, Path]] = []
    damaged: list[tuple[Path, str | None]] = []
    for file in sorted(folder.glob("*.pth")):
        if _NO_RUNS.match(file.name):
            continue
        iteration, fault = _iteration(file)
        if fault:
            damaged.append((file, fault))
        else:
            readable.append((iteration, file))
    return [*damaged, *((file, None) for _, file in sorted(readable, reverse=True))]


def _iteration(file: Path) -> tuple[int, str | None]:
    """The iteration that a checkpoint was written behind; without reading its tensors."""
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return int(checkpoint["meta"]["iter"]), None
    except Exception as error:  # A damaged pickle can fail in any way.  # noqa: BLE001
        return -1, f"{type(error).__name__}: {error}".splitlines()[0][:200]
