"""Loading a config for one of the three tasks, and refusing what would be silently ignored."""

import importlib.util
import inspect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.config_check.spelling import known_keys
from mmvan.errors import ConfigError, did_you_mean

TASKS = {"mmpretrain": "classification", "mmdet": "detection", "mmseg": "segmentation"}


def load_config(
    path: str,
    overrides: Mapping[str, Any] | None,
    needs: Sequence[str],
    option: str = "--cfg-options",
) -> Config:
    """Load a config file and merge the user's settings into it.

    Args:
        path: The config file.
        overrides: Values by dotted key.
        needs: Top-level keys that the command cannot do without.
        option: What gave the overrides, for the messages.

    Returns:
        Config: The merged config.

    Raises:
        ConfigError: The file is missing or cannot be read, a dotted key fits nothing in it, its
            ``default_scope`` is not that of an installed task library, or a needed key is missing.
            Without one, as in configs that name classes themselves, the model's class decides.
    """
    cfg = _read(path)
    _drop_own_scope(cfg._cfg_dict)
    if overrides:
        _merge(cfg, overrides, option)
    _check_scope(cfg, path)
    missing = [key for key in needs if cfg.get(key) is None]
    if missing:
        raise ConfigError(
            f"{path}: {', '.join(missing)} not set. This command needs {', '.join(needs)}; "
            f"the file sets {', '.join(sorted(cfg.keys()))}."
        )
    return cfg


def task_of(cfg: Config) -> str:
    """The task of a config that :func:`load_config` returned, such as ``detection``."""
    return TASKS[cfg.default_scope]


def innermost_dataset(dataloader: Any) -> Any:
    """The dataset inside a loader's wrappers (repeat, class balance, ...): it has the pipeline."""
    dataset = dataloader["dataset"]
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    return dataset


def _read(path: str) -> Config:
    if not Path(path).is_file():
        kind = "is a directory" if Path(path).is_dir() else "does not exist"
        hint = did_you_mean(path, _configs_near(Path(path)))
        raise ConfigError(f"config {path} {kind}; expected a config file (.py).{hint}")
    try:
        return Config.fromfile(path)
    except Exception as error:  # It may be any Python.
        raise ConfigError(f"config {path} cannot be read: {_reason(error)}") from error


def _configs_near(path: Path) -> Iterator[str]:
    """Config files below the first directory of a mistyped path that exists."""
    parent = next(folder for folder in path.parents if folder.is_dir())
    if parent.resolve() == Path.cwd():  # all of which may hold more files than a user can wait for
        return itertools.chain(
            map(str, parent.glob("*.py")), map(str, Path("configs").rglob("*.py"))
        )
    return map(str, parent.rglob("*.py") if parent.name else [])


def _drop_own_scope(node: Any) -> None:
    """Take out what MMEngine adds to a base that is named ``mmvan::...``.

    It has every type looked up in the scope that stands before the colons. The types of mmvan's
    configs are the task library's, but for those that say ``mmvan.`` themselves.
    """
    if isinstance(node, dict):
        if node.get("_scope_") == "mmvan":
            del node["_scope_"]
        children: Iterable[Any] = dict.values(node)
    else:
        children = node if isinstance(node, (list, tuple)) else ()
    for child in children:
        _drop_own_scope(child)


def _check_scope(cfg: Config, path: str) -> None:
    scope = cfg.default_scope = cfg.get("default_scope") or _scope_of_class(cfg.get("model"))
    if scope not in TASKS:
        raise ConfigError(
            f"{path}: default_scope is {scope!r}; expected {', '.join(map(repr, TASKS))}, "
            "the library whose task it is."
        )
    if importlib.util.find_spec(scope) is None:
        raise ConfigError(
            f"{path} is a {TASKS[scope]} config and needs {scope}, which is not installed here."
        )


def _scope_of_class(model: Any) -> str | None:
    """The library whose task a model has by its class, in configs that name classes themselves."""
    kind = model.get("type") if isinstance(model, Mapping) else None
    parents = inspect.getmro(kind) if isinstance(kind, type) else ()
    packages = (parent.__module__.partition(".")[0] for parent in parents)
    return next((package for package in packages if package in TASKS), None)


def _merge(cfg: Config, overrides: Mapping[str, Any], option: str) -> None:
    for key in overrides:
        _check_key(cfg, key, option)
    try:
        cfg.merge_from_dict(dict(overrides))
    except Exception as error:  # MMEngine's own differ by what stands where the value should go.
        raise ConfigError(f"{option} does not fit the config: {_reason(error)}") from error


def _check_key(cfg: Config, key: str, option: str) -> None:
    """Refuse a key that no part of the config would ever read, most often a misspelt one."""
    first, *rest = key.split(".")
    known = {*cfg.keys(), *known_keys()}
    if first not in known:
        raise ConfigError(
            f"{option} {key}: the config has no {first!r}.{did_you_mean(first, known)}"
        )
    node = cfg.get(first)
    for depth, part in enumerate(rest[:-1], start=1):
        if not isinstance(node, Mapping):
            return
        hint = did_you_mean(part, node)
        if part not in node and hint:
            where = ".".join([first, *rest[: depth - 1]])
            raise ConfigError(f"{option} {key}: {where} has no {part!r}.{hint}")
        node = node.get(part)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
