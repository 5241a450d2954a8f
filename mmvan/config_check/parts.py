"""What the names in a config stand for, and whose meaning its settings have."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import mmengine.registry
from mmengine.registry import Registry

# Packages whose settings mean what is known here. What a user's own class makes of a setting that
# has the name of one of theirs is its own affair.
_KNOWN = frozenset({"mmengine", "mmcv", "mmdet", "mmpretrain", "mmseg", "mmvan", "torch"})
# What a user's own class builds as the libraries do; its other settings may be anything.
_BUILT = frozenset({"dataset", "datasets", "pipeline", "transforms"})


class Part(NamedTuple):
    """Settings in a config.

    Args:
        key: Where they stand, such as ``model.neck`` or ``custom_hooks[1]``.
        settings: The dictionary there.
        scope: The library whose names they hold.
        foreign: Whether they are read by a class that is not of the libraries.
        inside_foreign: Whether they are handed to such a class, which may not build them.
    """

    key: str
    settings: Mapping[str, Any]
    scope: str
    foreign: bool
    inside_foreign: bool


def parts_of(
    key: str, value: Any, scope: str, foreign: bool = False, inside_foreign: bool = False
) -> Iterator[Part]:
    """All dictionaries below a key, that of the key first.

    Args:
        key: Where the value stands.
        value: Anything that a config holds.
        scope: The library whose names it holds, where it does not say so.
        foreign: Whether a class that is not of the libraries reads it.
        inside_foreign: As for :class:`Part`.
    """
    if isinstance(value, Mapping):
        scope = value.get("_scope_") or scope
        found = resolve(value.get("type"), scope)
        if found:
            foreign = all(_is_foreign(kind) for kind in found)
        yield Part(key, value, scope, foreign, inside_foreign)
        for name, child in value.items():
            inside = (foreign or inside_foreign) and name not in _BUILT
            yield from parts_of(
                f"{key}.{name}", child, scope, foreign and name not in _BUILT, inside
            )
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from parts_of(f"{key}[{index}]", child, scope, foreign, inside_foreign)


def resolve(kind: Any, scope: str) -> frozenset[Any]:
    """Everything that a ``type`` may mean, in whichever registry; nothing where it is unknown.

    Args:
        kind: A name, a class or a function.
        scope: The library whose name it is.
    """
    if isinstance(kind, str):
        return _named(kind, scope)
    return frozenset({kind}) if callable(kind) and kind.__hash__ else frozenset()


def is_known(kind: Any, scope: str) -> bool:
    """Whether a ``type`` is a class or function of the libraries, and of nobody else.

    Args:
        kind: As for :func:`resolve`.
        scope: As for :func:`resolve`.
    """
    found = resolve(kind, scope)
    return bool(found) and not any(_is_foreign(one) for one in found)


@cache
def registries(scope: str) -> tuple[Registry, ...]:
    """MMEngine's registries, and those that a library has besides.

    Args:
        scope: The library.
    """
    modules = [mmengine.registry]
    # The registries of a user's own scope are children of MMEngine's.
    with contextlib.suppress(ImportError):
        modules.append(import_module(f"{scope}.registry"))
    found = [value for module in modules for value in vars(module).values()]
    return tuple(dict.fromkeys(value for value in found if isinstance(value, Registry)))


@cache
def _named(kind: str, scope: str) -> frozenset[Any]:
    if not kind:  # for which MMEngine fails
        return frozenset()
    found = (registry.children.get(scope, registry).get(kind) for registry in registries(scope))
    return frozenset(one for one in found if one)


def _is_foreign(kind: Any) -> bool:
    module = getattr(kind, "__module__", None) or ""
    return module.partition(".")[0] not in _KNOWN
