"""The checkpoint that a run in a work directory ended with."""

from pathlib import Path

from mmvan.checkpoint.outline import check_checkpoint
from mmvan.errors import CheckpointError


def latest_checkpoint(work_dir: str) -> str | None:
    """The checkpoint that the last run in a work directory ended with.

    Args:
        work_dir: The directory that MMEngine's CheckpointHook wrote to. It may have been moved.

    Returns:
        str | None: The path, or None when nothing was saved there.

    Raises:
        CheckpointError: The file is gone or damaged; the message lists those that are there.
    """
    pointer = Path(work_dir, "last_checkpoint")
    if not pointer.is_file():
        return None
    stated = Path(pointer.read_text().strip())
    found = stated if stated.is_file() else Path(work_dir, stated.name)
    try:
        check_checkpoint(str(found), "--resume: the latest checkpoint")
    except CheckpointError as error:
        others = sorted(str(f) for f in Path(work_dir).glob("*.pth") if f != found)
        there = f" Name another one by --resume PATH: {', '.join(others)}" if others else ""
        raise CheckpointError(f"{error}{there}") from None
    return str(found)
