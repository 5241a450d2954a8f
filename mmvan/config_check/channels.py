"""Whether what reads the backbone's outputs expects what it gives."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmvan.arch import get_arch
from mmvan.config_check.nodes import Node
from mmvan.config_check.parts import is_known
from mmvan.errors import ModelError
from mmvan.models.van import VAN
from mmvan.type_name import type_name

# Heads that read the maps of the backbone where there is no neck, and the head of a classifier.
_HEADS = ("decode_head", "auxiliary_head", "panoptic_head", "bbox_head", "rpn_head")
# Necks that read all maps, in this order; others take some, or turn them round.
_NECKS = ("FPN", "PAFPN", "NASFPN", "ChannelMapper", "MultiLevelNeck", "YOLOXPAFPN", "CSPNeXtPAFPN")


def channel_problems(model: Any, scope: str) -> Iterator[str]:
    """Compares the channels that necks and heads read with those of a VAN's outputs.

    Args:
        model: ``model`` of a config; one with another backbone is not looked into.
        scope: The library whose names it holds.

    Yields:
        One message for each difference.
    """
    backbone = model.get("backbone") if isinstance(model, Mapping) else None
    if not isinstance(backbone, Mapping) or backbone.get("type") not in ("mmvan.VAN", VAN):
        return
    given = _outputs(backbone)
    if given is None:
        return
    neck = model.get("neck")
    if isinstance(neck, Mapping) and isinstance(neck.get("in_channels"), Sequence):
        if type_name(neck) in _NECKS and is_known(neck.get("type"), scope):
            yield from _compare("model.neck", neck["in_channels"], given)
    elif neck is None:
        for node in _heads(model):
            if is_known(node.settings.get("type"), scope):
                yield from _head_problems(node, given)
    if neck is None or (isinstance(neck, Mapping) and type_name(neck) == "GlobalAveragePooling"):
        head = model.get("head")
        known = isinstance(head, Mapping) and is_known(head.get("type"), scope)
        if known and isinstance(head.get("in_channels"), int):
            yield from _compare("model.head", head["in_channels"], given[-1])


def _outputs(backbone: Mapping[str, Any]) -> list[int] | None:
    """Channels of the outputs; None where the backbone itself will say what is wrong."""
    try:
        dims = get_arch(backbone.get("arch", "b2")).embed_dims
        indices = backbone.get("out_indices")
        return [dims[index] for index in (range(len(dims)) if indices is None else indices)]
    except (ModelError, IndexError, TypeError):
        return None


def _heads(model: Mapping[str, Any]) -> Iterator[Node]:
    for name in _HEADS:
        head = model.get(name)
        parts = head if isinstance(head, (list, tuple)) else [head]
        for index, part in enumerate(parts):
            if isinstance(part, Mapping):
                key = f"model.{name}[{index}]" if isinstance(head, (list, tuple)) else name
                yield Node(key if "." in key else f"model.{key}", part)


def _head_problems(node: Node, given: Sequence[int]) -> Iterator[str]:
    reads = node.settings.get("in_channels")
    chosen = node.settings.get("in_index", -1)
    try:
        if isinstance(reads, int):
            yield from _compare(node.key, reads, given[chosen])
        elif isinstance(reads, Sequence):
            indices = chosen if isinstance(chosen, Sequence) else range(len(given))
            yield from _compare(node.key, reads, [given[index] for index in indices])
    except IndexError:
        yield f"{node.key}.in_index is {chosen}; the backbone has {len(given)} outputs, from 0"
    except TypeError:
        yield f"{node.key}.in_index is {chosen!r}; expected a number for one map, or a list"


def _compare(key: str, reads: Any, gives: Any) -> Iterator[str]:
    reads = list(reads) if isinstance(reads, Sequence) else reads
    if reads != gives:
        yield (
            f"{key}.in_channels is {reads}; this backbone, by its arch and out_indices, gives "
            f"{gives}"
        )
