"""The names of classes, as datasets take them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvan.config_check.nodes import Node, nodes_of


def class_problems(key: str, value: Any) -> Iterator[str]:
    """Finds names of classes that are no list of different names.

    Args:
        key: A loader of the config.
        value: What the config has there.

    Yields:
        One message for each.
    """
    for node in nodes_of(key, value):
        holder = node.settings.get("metainfo")
        if isinstance(holder, Mapping):
            yield from _problems(Node(f"{node.key}.metainfo", holder))
        elif "classes" in node.settings and "type" in node.settings:
            yield from _problems(node)


def _problems(node: Node) -> Iterator[str]:
    names = node.settings.get("classes")
    key = f"{node.key}.classes"
    if isinstance(names, str):
        # mmpretrain reads the names from a file.
        if not Path(names).is_file():
            yield (
                f"{key} is the text {names!r}, neither a list of names nor a file with them; for "
                f"one class write ({names!r},), with a comma"
            )
        return
    if names is None:
        return
    if not isinstance(names, Sequence) or not names:
        yield f"{key} is {names!r}; expected a list of names"
        return
    wrong = [name for name in names if not isinstance(name, str)]
    twice = sorted({str(name) for name in names if list(names).count(name) > 1})
    if wrong:
        yield f"{key} has {', '.join(map(repr, wrong[:5]))}; expected names"
    if twice:
        yield f"{key} has {', '.join(map(repr, twice[:5]))} more than once"
    palette = node.settings.get("palette")
    if isinstance(palette, (list, tuple)) and len(palette) != len(names):
        yield (
            f"{node.key}.palette has {len(palette)} colours for {len(names)} classes; expected one "
            "each"
        )
