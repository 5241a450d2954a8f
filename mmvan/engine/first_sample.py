"""The first sample of a dataset, without anything that becomes of the dataset by that."""

import copy
from typing import Any

# Where datasets and their wrappers keep each other and their transforms.
_INNER = ("dataset", "datasets")
_TRANSFORMS = ("pipeline", "transform", "transforms")


def first_sample(dataset: Any) -> Any:
    """Load the first sample with transforms of its own.

    Some remember images, such as mmdetection's CachedMosaic, and would mix this one into the first
    batches.

    Args:
        dataset: A dataset with indices.
    """
    return _apart(dataset)[0]


def _apart(dataset: Any) -> Any:
    """A dataset with the same data and copies of the transforms; itself if it has no such copy."""
    try:
        apart = copy.copy(dataset)
        for name in _INNER:
            inner = vars(apart).get(name)
            if inner is not None:
                parts = [_apart(part) for part in inner] if name == "datasets" else _apart(inner)
                setattr(apart, name, parts)
        for name in _TRANSFORMS:
            if vars(apart).get(name) is not None:
                setattr(apart, name, copy.deepcopy(vars(apart)[name]))
    except Exception:  # noqa: BLE001  # A user's own dataset may refuse to be copied in any way.
        return dataset
    return apart
