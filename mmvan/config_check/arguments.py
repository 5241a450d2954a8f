"""Whether what a config names exists, and takes the arguments that it is given."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmvan.config_check.nodes import nodes_of
from mmvan.config_check.parts import Part, is_known, parts_of, registries, resolve
from mmvan.errors import did_you_mean
from mmvan.type_name import type_name

# albumentations' transforms, in mmdet's and mmpretrain's, are looked up there.
_OTHER_LIBRARIES = ("Albu", "Albumentations")
# Under these keys, names are no parts to build.
_OTHER_NAMES = frozenset({"policies", "metainfo", "clip_grad", "init_kwargs"})
_LAYERS = (".norm_cfg", ".act_cfg", ".conv_cfg", ".out_norm_cfg")
# What MMEngine takes out before it builds: of any part; of hooks, loops, schedules and optimizers.
_TAKEN_OUT = frozenset({"type", "_scope_"})
_TAKEN_OUT_OF = {
    "default_hooks": {"priority"},
    "custom_hooks": {"priority"},
    "train_cfg": {"by_epoch"},
    "param_scheduler": {"convert_to_iter_based"},
    "optim_wrapper": {"constructor", "paramwise_cfg"},
}


def argument_problems(key: str, value: Any, scope: str) -> Iterator[str]:
    """Finds names that are not registered, and arguments that what they name does not take.

    Not for models: their parts hand each other arguments in many ways, and they are built first.

    Args:
        key: The top-level key.
        value: What the config has there.
        scope: The library whose names these are, such as ``mmdet``.

    Yields:
        One message for each.
    """
    elsewhere: tuple[str, ...] = ()
    for node in parts_of(key, value, scope):
        if (
            "type" not in node.settings
            or node.inside_foreign
            or node.key.startswith(elsewhere or "\n")
        ):
            continue
        if type_name(node.settings) in _OTHER_LIBRARIES:
            elsewhere = (*elsewhere, f"{node.key}.")
        parts = {part.partition("[")[0] for part in node.key.split(".")}
        if not parts & _OTHER_NAMES:
            yield from _node_problems(node)


def layer_problems(model: Any, scope: str) -> Iterator[str]:
    """Finds layers that mmcv does not have, and arguments that the whole model does not take.

    Args:
        model: ``model`` of a config.
        scope: As for :func:`argument_problems`.

    Yields:
        One message for each.
    """
    whole = next(parts_of("model", model, scope))
    if is_known(model["type"], whole.scope):
        yield from _node_problems(whole)
    for node in nodes_of("model", model):
        kind = node.settings.get("type")
        if not isinstance(kind, str) or not node.key.endswith(_LAYERS):
            continue
        if not resolve(kind, scope):
            yield f"{node.key}.type: {kind!r} is unknown.{_alternatives(kind, scope)}"


def _node_problems(node: Part) -> Iterator[str]:
    kind = node.settings["type"]
    if not isinstance(kind, str) and not callable(kind):
        yield f"{node.key}.type is {kind!r}; expected a name"
        return
    found = resolve(kind, node.scope)
    if not found:
        yield f"{node.key}.type: {kind!r} is unknown.{_alternatives(str(kind), node.scope)}"
    elif len(found) == 1:
        yield from _unknown_arguments(node, next(iter(found)))


def _unknown_arguments(node: Part, kind: Any) -> Iterator[str]:
    known = _arguments(kind)
    if known is None:
        return
    taken_out = _TAKEN_OUT | _TAKEN_OUT_OF.get(re.split(r"[.\[]", node.key)[0], set())
    for argument in sorted(node.settings.keys() - known - taken_out):
        hint = did_you_mean(argument, known) or f" It takes {', '.join(sorted(known))}."
        yield f"{node.key}.{argument}: {type_name(kind)} has no such argument.{hint}"


@cache
def _arguments(kind: Any) -> set[str] | None:
    """The arguments of a class or function; None if it takes any, or does not tell."""
    known: set[str] = set()
    for function in _initialisers(kind):
        try:
            parameters = inspect.signature(function).parameters.values()
            hands_on = _hands_on(function)
        except (TypeError, ValueError, OSError, SyntaxError):  # not written in Python, or generated
            return None
        if hasattr(function, "__wrapped__"):  # whose decorator may take others
            return None
        known.update(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return known - {"self"}
        if function is CheckpointHook.__init__:
            return known - {"self"} | _saving()
        if not hands_on:
            return None
    return None


def _hands_on(function: Any) -> bool:
    """Whether a function does nothing with its ``**kwargs`` but hand them to its parent's."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(definition, ast.FunctionDef) or definition.args.kwarg is None:
        return False
    name = definition.args.kwarg.arg
    calls = [
        call.keywords
        for call in ast.walk(definition)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "__init__"
    ]
    handed = [word.value for words in calls for word in words if word.arg is None]
    uses = [n for n in ast.walk(definition) if isinstance(n, ast.Name) and n.id == name]
    return bool(uses) and all(use in handed for use in uses)


def _initialisers(kind: Any) -> Iterator[Any]:
    """The functions that arguments are passed on to; of several parents, none is told apart."""
    parents = inspect.getmro(kind) if isinstance(kind, type) else ()
    if not parents:
        yield kind
    for parent in parents:
        initialiser = vars(parent).get("__init__")
        if isinstance(initialiser, FunctionType):
            yield initialiser
        if len(parent.__bases__) > 1 and parent is not parents[-1]:
            yield _takes_anything


def _saving() -> set[str]:
    """What the CheckpointHook hands on to the Runner when it saves."""
    return set(inspect.signature(Runner.save_checkpoint).parameters)


def _takes_anything(**_: Any) -> None:
    """Stands for parents of whom arguments go to one or another."""


def _alternatives(kind: str, scope: str) -> str:
    names = [
        name
        for registry in registries(scope)
        for part in (registry, registry.children.get(scope, registry))
        for name in part.module_dict
    ]
    return did_you_mean(kind, dict.fromkeys(names))
