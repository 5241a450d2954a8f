"""Fit a published file to a whole model that has the backbone inside, before it is loaded.

A layout differs from ours not only in the backbone's names: the authors' classifiers have the
backbone without a prefix beside ``head``, those of transformers have ``van.`` and ``classifier``,
and training tools put ``module.`` before everything. All of it is moved to where the model at hand
has it; what belongs to a task that the model does not have is left out with one line.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

from mmvan.checkpoint.adapt import adapt_state_dict, value_fault
from mmvan.checkpoint.layouts import MMVAN, Layout
from mmvan.checkpoint.recognise import Found, find_backbone, listing, require_backbone
from mmvan.errors import CheckpointError
from mmvan.models.van import VAN


def adapt_whole_state_dict(model: nn.Module, state_dict: MutableMapping[str, Any]) -> list[str]:
    """Rename what a model is about to load, in place; a model without a VAN is left alone.

    Args:
        model: The model, with the backbone anywhere in it.
        state_dict: What is about to be loaded: any layout, with any prefix before it.

    Returns:
        list[str]: Tensors made for another number of classes, with both numbers. They are replaced
        by the model's own values.

    Raises:
        CheckpointError: As :func:`mmvan.checkpoint.adapt.adapt_state_dict`.
    """
    expected = model.state_dict()
    backbones = _backbones(model)
    for path in backbones:
        parent, _, name = path.rpartition(".")
        inner = f"{parent}." if parent else ""
        others = tuple(f"{other}." for other in backbones if other != path)
        _adapt_around(_Part(expected, inner, f"{name}." if name else ""), state_dict, others)
    return _keep_heads_of_other_classes(state_dict, expected) if backbones else []


def find_gaps(model: nn.Module, state_dict: Mapping[str, Any]) -> list[str]:
    """Name the tensors of a model that a state dict leaves as they are.

    ``num_batches_tracked``, which nothing computes with, may be missing, as for MMEngine.
    """
    return [
        key
        for key in model.state_dict()
        if key not in state_dict and not key.endswith("num_batches_tracked")
    ]


class _Part(NamedTuple):
    """The part of a model right around one backbone.

    Args:
        whole: ``state_dict()`` of the model.
        prefix: Prefix of the part in it.
        own: Prefix of the backbone in the part.
    """

    whole: Mapping[str, Any]
    prefix: str
    own: str

    def backbone(self) -> dict[str, Tensor]:
        """The backbone's tensors by its own names."""
        start = self.prefix + self.own
        return {k.removeprefix(start): v for k, v in self.whole.items() if k.startswith(start)}

    def rest(self) -> dict[str, Tensor]:
        """All other tensors of the part, by their names in the part."""
        inside = {k.removeprefix(self.prefix): v for k, v in self.whole.items() if self._has(k)}
        return {k: v for k, v in inside.items() if isinstance(v, Tensor)}

    def _has(self, key: str) -> bool:
        return key.startswith(self.prefix) and not key.startswith(self.prefix + self.own)


def _backbones(model: nn.Module) -> list[str]:
    """Names of the modules that are VANs."""
    return [name for name, module in model.named_modules() if isinstance(module, VAN)]


def _adapt_around(
    part: _Part, state_dict: MutableMapping[str, Any], others: tuple[str, ...]
) -> None:
    """Adapt the entries of one part; what begins with one of ``others`` is another backbone's."""
    prefix, own = part.prefix, part.own
    found = (
        find_backbone(state_dict, prefix + own)
        or find_backbone([key for key in state_dict if not key.startswith(others)], prefix)
        or require_backbone(state_dict, prefix + own if others else prefix)
    )
    moved = move(found, state_dict, prefix, own)
    adapt_state_dict(moved, prefix + own, part.backbone())
    rest = part.rest()
    _leave_out_what_is_not_used(found, moved, prefix, rest)
    _refuse_unusable(moved, prefix, rest)
    state_dict.clear()
    state_dict.update(moved)


def move(found: Found, state_dict: Mapping[str, Any], prefix: str, own: str) -> dict[str, Any]:
    """Put everything under a model's own prefixes, the backbone still in its own layout.

    Args:
        found: The backbone in the state dict.
        state_dict: A file's weights.
        prefix: Prefix of the model.
        own: Prefix of the backbone in the model.

    Returns:
        dict[str, Any]: All entries; only the classifier's head has our name.
    """
    outer = outer_prefix(found, own)
    has_prefix = found.prefix != outer  # Then all that has it is the backbone's.
    moved = {}
    for key, value in state_dict.items():
        inner = key.removeprefix(found.prefix)
        in_a_stage = has_prefix or found.layout.stage_of(inner) is not None
        if key.startswith(found.prefix) and in_a_stage:
            moved[prefix + own + inner] = value
        elif key.startswith(outer):
            moved[prefix + _own_head(found.layout, key.removeprefix(outer))] = value
        else:
            moved[key] = value
    return moved


def outer_prefix(found: Found, own: str = "backbone.") -> str:
    """What the keys of the whole model begin with, ``module.`` for instance.

    Args:
        found: The backbone in a file.
        own: Prefix of the backbone in the model.
    """
    for ending in (own, found.layout.prefix):
        if ending and f".{found.prefix}".endswith(f".{ending}"):
            return found.prefix.removesuffix(ending)
    return found.prefix


def _own_head(layout: Layout, key: str) -> str:
    name, _, leaf = key.rpartition(".")
    return f"{MMVAN.head}.{leaf}" if name == layout.head else key


def _leave_out_what_is_not_used(
    found: Found, state_dict: MutableMapping[str, Any], prefix: str, expected: Mapping[str, Tensor]
) -> None:
    """Drop the classifier where the model has none, and what the layout itself does not use."""
    modules = (MMVAN.head, *found.layout.idle)
    names = [f"{module}.{leaf}" for module in modules for leaf in ("weight", "bias")]
    unused = [name for name in names if prefix + name in state_dict and name not in expected]
    for name in unused:
        del state_dict[prefix + name]
    if unused:
        print_log(f"not used by this model: {listing(unused)}", logger="current")


def _refuse_unusable(
    state_dict: Mapping[str, Any], prefix: str, expected: Mapping[str, Tensor]
) -> None:
    """Refuse what PyTorch would load, or complain about after it had loaded the rest."""
    bad = []
    for name, own in expected.items():
        fault = value_fault(state_dict.get(prefix + name, own), own)
        if fault:
            bad.append(f"{name}{fault[1]} {fault[0]}")
    if bad:
        raise CheckpointError(f"the checkpoint has {listing(bad)}; nothing was loaded")


def _keep_heads_of_other_classes(
    state_dict: MutableMapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Keep the model's own values where only the number of outputs differs."""
    differing = {
        name: other
        for name, own in expected.items()
        if isinstance(other := state_dict.get(name), Tensor) and other.shape != own.shape
    }
    if not all(_only_outputs_differ(other, expected[name]) for name, other in differing.items()):
        return []  # Not the classes, but another neck or head: PyTorch and MMEngine list all of it.
    state_dict.update({name: expected[name] for name in differing})
    return [
        f"{name} ({len(other)} outputs instead of {len(expected[name])})"
        for name, other in differing.items()
    ]


def _only_outputs_differ(other: Tensor, own: Tensor) -> bool:
    return other.dim() == own.dim() > 0 and other.shape[1:] == own.shape[1:]
