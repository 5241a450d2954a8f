"""The name of what a part of a config builds."""

from collections.abc import Mapping
from typing import Any


def type_name(kind: Any) -> str:
    """The bare name under ``type``, which configs give as a name, with a scope, or as a class.

    Args:
        kind: A name such as ``mmdet.CocoMetric``, a class or function, or the settings that hold
            one of them under ``type``; empty for settings without.
    """
    if isinstance(kind, Mapping):  # a class may have a method `get`, too
        kind = kind.get("type", "")
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]
