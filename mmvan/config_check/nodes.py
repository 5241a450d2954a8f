"""The parts of a config that something is built from."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple


class Node(NamedTuple):
    """Settings in a config.

    Args:
        key: Where they stand, such as ``model.neck`` or ``custom_hooks[1]``.
        settings: The dictionary there.
    """

    key: str
    settings: Mapping[str, Any]


def nodes_of(key: str, value: Any) -> Iterator[Node]:
    """All dictionaries below a key, that of the key first.

    Args:
        key: Where the value stands.
        value: Anything that a config holds.
    """
    if isinstance(value, Mapping):
        yield Node(key, value)
        for name, child in value.items():
            yield from nodes_of(f"{key}.{name}", child)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from nodes_of(f"{key}[{index}]", child)


def schedulers_of(node: Any) -> Iterator[MutableMapping[str, Any]]:
    """Every scheduler under ``param_scheduler``: one, several, or several per optimizer.

    Args:
        node: What the config has there; None for no schedulers.
    """
    if isinstance(node, MutableMapping) and "type" in node:
        yield node
    elif isinstance(node, (MutableMapping, list, tuple)):
        for child in node.values() if isinstance(node, MutableMapping) else node:
            yield from schedulers_of(child)
