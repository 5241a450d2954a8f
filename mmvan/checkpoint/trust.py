"""Whether checkpoints may execute what they ask for: no, unless the user says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import WARNING

from mmengine.logging import print_log

_trusting: ContextVar[bool] = ContextVar("trusting", default=False)
_trusted_for_good = False


def trust_pickles() -> None:
    """Let this process execute whatever the checkpoints that it reads ask for.

    For files that you made and that hold more than weights. It cannot be undone in the process.
    """
    global _trusted_for_good
    _trusted_for_good = True
    print_log(
        "--unsafe: checkpoints are read without a check and can execute any code",
        logger="current",
        level=WARNING,
    )


@contextmanager
def trusting_pickles(trust: bool) -> Iterator[None]:
    """As :func:`trust_pickles`, inside a ``with`` block and only if ``trust`` is set."""
    token = _trusting.set(_trusting.get() or trust)
    try:
        yield
    finally:
        _trusting.reset(token)


def pickles_are_trusted() -> bool:
    """Whether the user said so, for the process or for what is being read."""
    return _trusted_for_good or _trusting.get()
