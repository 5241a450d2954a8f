"""What the parts of a model are said to start from."""

from collections.abc import Iterator
from typing import Any

from mmvan.config_check.nodes import nodes_of
from mmvan.type_name import type_name

_PRETRAINED = ("Pretrained", "PretrainedInit")


def weight_problems(model: Any) -> Iterator[str]:
    """Finds pretrained weights without a file.

    Args:
        model: ``model`` of a config.

    Yields:
        One message for each.
    """
    for node in nodes_of("model", model):
        if type_name(node.settings) in _PRETRAINED:
            file = node.settings.get("checkpoint")
            if not isinstance(file, str) or not file.strip():
                yield (
                    f"{node.key}.checkpoint is {file!r}; expected a path or an address. To start "
                    f"at random: {node.key.removesuffix('[0]')}=None"
                )
