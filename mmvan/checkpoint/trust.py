"""Whether checkpoints may execute what they ask for: no, unless the user says so once."""

from logging import WARNING

from mmengine.logging import print_log

_trusting = False


def trust_pickles() -> None:
    """Let this process execute whatever the checkpoints that it reads ask for.

    For files that you made and that hold more than weights. It cannot be undone in the process.
    """
    global _trusting
    _trusting = True
    print_log(
        "--unsafe: checkpoints are read without a check and can execute any code",
        logger="current",
        level=WARNING,
    )


def pickles_are_trusted() -> bool:
    """Whether :func:`trust_pickles` was called."""
    return _trusting
