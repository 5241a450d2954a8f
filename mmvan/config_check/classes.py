"""The names of classes, as datasets take them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvan.config_check.nodes import Node
from mmvan.config_check.parts import parts_of
from mmvan.type_name import type_name

# Datasets without names of their own, which mmsegmentation's metrics ask for.
_NAMELESS = ("BaseSegDataset",)


def class_problems(key: str, value: Any, scope: str) -> Iterator[str]:
    """Finds names of classes that are no list of different names.

    Args:
        key: A loader of the config.
        value: What the config has there.
        scope: The library whose names these are, such as ``mmdet``.

    Yields:
        One message for each.
    """
    for node in parts_of(key, value, scope):
        if node.foreign:
            continue
        holder = node.settings.get("metainfo")
        if isinstance(holder, Mapping):
            yield from _problems(Node(f"{node.key}.metainfo", holder), scope)
        elif "classes" in node.settings and "type" in node.settings:
            yield from _problems(Node(node.key, node.settings), scope)
        named = key == "train_dataloader" or type_name(node.settings) not in _NAMELESS
        if not named and not (holder or {}).get("classes"):
            yield f"{node.key} has no metainfo.classes, which {type_name(node.settings)} needs"


def _problems(node: Node, scope: str) -> Iterator[str]:
    names = node.settings.get("classes")
    key = f"{node.key}.classes"
    if isinstance(names, str):
        # mmpretrain reads the names from a file.
        if "://" not in names and not Path(names).is_file():
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
    if scope == "mmdet":  # which finds the categories by their names; ImageNet has two cranes
        yield from _name_problems(key, names)
    palette = node.settings.get("palette")
    # There may be more colours than classes; mmdetection needs them for drawing only.
    if scope == "mmseg" and isinstance(palette, (list, tuple)) and 0 < len(palette) < len(names):
        yield f"{node.key}.palette has {len(palette)} colours for {len(names)} classes"


def _name_problems(key: str, names: Sequence[Any]) -> Iterator[str]:
    wrong = [name for name in names if not isinstance(name, str)]
    twice = sorted({str(name) for name in names if list(names).count(name) > 1})
    if wrong:
        yield f"{key} has {', '.join(map(repr, wrong[:5]))}; expected names"
    if twice:
        yield f"{key} has {', '.join(map(repr, twice[:5]))} more than once"
