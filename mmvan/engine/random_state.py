"""The state of every random number generator that a training step may draw from."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def get_random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators, and of the current GPU's.

    Returns:
        dict[str, Any]: For :func:`set_random_state`. It does not wait for a GPU.
    """
    state = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put the generators into a state that :func:`get_random_state` returned.

    Args:
        state: The states. That of a GPU is left out where there is none.
    """
    random.setstate(_as_tuple(state["python"]))
    np.random.set_state(_as_tuple(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def keeping_random_state() -> Iterator[None]:
    """Let nothing that is drawn in the block be missing after it."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, (list, tuple)) else value
