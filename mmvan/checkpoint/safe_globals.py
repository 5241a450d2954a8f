"""Let ``torch.load(weights_only=True)`` read the checkpoints that MMEngine writes.

Since PyTorch 2.6 ``torch.load`` rebuilds only tensors and plain Python values unless told
otherwise. MMEngine stores its training log beside the weights, as ``HistoryBuffer`` objects that
hold NumPy arrays, and metrics as NumPy scalars, so that its own checkpoints cannot be resumed. What
is allowed here is exactly that: the log class with its four statistics, and arrays and scalars of
plain numbers. Object arrays, which could carry anything, stay refused, and the check itself stays
on.
"""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_NUMBER_TYPES = (np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64)
# Pickles name NumPy's functions by module: `numpy.core` up to NumPy 1, `numpy._core` since NumPy 2.
# A checkpoint that one release wrote may be read by the other.
_MULTIARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_STATISTICS = ("min", "max", "current", "mean")


def allow_mmengine_checkpoints() -> None:
    """Add MMEngine's log and NumPy's numbers to PyTorch's list of loadable classes.

    Calling it again changes nothing.
    """
    torch.serialization.add_safe_globals(_mmengine_globals())


def _mmengine_globals() -> list[Any]:
    """The allowed objects, with the full name where it differs between NumPy's releases."""
    reconstruct = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    named = [
        (function, f"{module}.{name}")
        for module in _MULTIARRAY_MODULES
        for function, name in ((reconstruct, "_reconstruct"), (scalar, "scalar"))
    ]
    dtypes = [type(np.dtype(number)) for number in _NUMBER_TYPES]
    statistic = (_history_statistic, "builtins.getattr")
    return [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *named, statistic]


def _history_statistic(owner: object, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr``, by which a pickled log names its own methods and nothing else."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(
            f"the checkpoint asks for the attribute {name!r} of {owner!r}; "
            f"only {', '.join(_STATISTICS)} of MMEngine's HistoryBuffer may be loaded"
        )
    return getattr(HistoryBuffer, name)
