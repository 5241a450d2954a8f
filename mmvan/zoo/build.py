"""Building a model by its name, with or without weights."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, DefaultScope

from mmvan.checkpoint.loading import load_model
from mmvan.engine.config import innermost_dataset, load_config
from mmvan.errors import CheckpointError
from mmvan.location import zoo_dir
from mmvan.zoo.catalogue import NamedModel, Weights, find_model, named_models


def get_model(
    name: str,
    pretrained: bool | str | Path = False,
    device: str = "cpu",
    *,
    unsafe: bool = False,
    **options: Any,
) -> BaseModel:
    """Build a model by its name, in evaluation mode.

    It is the task library's own model, as the config says, with ``cfg`` and ``dataset_meta`` set,
    which the libraries' inference functions read. SyncBN becomes BatchNorm, so that it runs in one
    process. Without ``pretrained`` it has random weights and nothing is downloaded.

    Args:
        name: One of :func:`mmvan.list_models`.
        pretrained: True for the published weights of the name, or a checkpoint of the whole model
            in any layout: a path, ``https://...`` or ``hf://owner/name``.
        device: The device of the model, such as ``cuda:0``.
        unsafe: Let the file execute whatever it asks for, as ``--unsafe`` of the tools: only for
            files that you made and that hold more than weights.
        **options: Settings of the config's ``model`` to change, as in
            ``backbone=dict(drop_path_rate=0.2)``.

    Returns:
        BaseModel: The model. Training it with a Runner keeps the weights that were loaded.

    Raises:
        ConfigError: The name or an option is unknown, or the task library is not installed.
        CheckpointError: No weights are published under the name, or the file cannot be loaded.
    """
    found = find_model(name)
    weights = _published(found) if pretrained is True else None
    cfg = load_config(
        str(zoo_dir() / found.config), dict(_dotted(options, "model")), ("model",), "get_model:"
    )
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        model.dataset_meta = read_dataset_meta(cfg)
    model.cfg = cfg
    if weights:
        _load_published(model, name, weights)
    elif pretrained:
        model.dataset_meta |= load_weights(model, str(pretrained), name, unsafe=unsafe)
    # The names that mmpretrain's inferencers read.
    model._config, model._dataset_meta = cfg, model.dataset_meta
    return model.to(device).eval()


def _published(model: NamedModel) -> Weights:
    if model.weights:
        return model.weights
    others = [m.name for m in named_models().values() if m.config == model.config and m.weights]
    of_task = [m.name for m in named_models().values() if m.task == model.task and m.weights]
    where = f"With the same config: {', '.join(others)}." if others else _elsewhere(model, of_task)
    raise CheckpointError(
        f"no weights of {model.name} are published. {where} "
        "Your own file is loaded by pretrained='PATH'."
    )


def _elsewhere(model: NamedModel, names: list[str]) -> str:
    if names:
        return f"There are weights for {', '.join(names)}."
    return f"None are for {model.task}; train it: its backbone starts from published weights."


def _dotted(options: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The leaves of nested settings by dotted key, so that each key can be checked."""
    for key, value in options.items():
        path = f"{prefix}.{key}"
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, path)
        else:
            yield path, value


def read_dataset_meta(cfg: Config) -> dict[str, Any]:
    """Classes and palette of the dataset that a config tests with."""
    dataset = innermost_dataset(cfg.test_dataloader)
    kind = dataset.type
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
            kind = registry.get(kind)
    return {**kind.METAINFO, **dataset.get("metainfo", {})}


def _load_published(model: BaseModel, name: str, weights: Weights) -> None:
    if weights.doubt:
        print_log(f"{name}, {weights.address}: {weights.doubt}", "current", logging.WARNING)
    if weights.holds == "backbone":
        print_log(f"{name}: the file holds the backbone; the head stays random", "current")
        load_weights(model.backbone, weights.address, name)
    else:
        load_weights(model, weights.address, name)


def load_weights(module: Any, address: str, name: str, *, unsafe: bool = False) -> dict[str, Any]:
    """Load all weights of a model from a file, in any layout, so that a Runner keeps them.

    Args:
        module: The model, or a part of one that has the file's weights.
        address: A path, ``https://...`` or ``hf://owner/name``.
        name: What the model is called, for the message.
        unsafe: Let the file execute whatever it asks for; only for files that you made.

    Returns:
        dict[str, Any]: What the file says about the dataset.

    Raises:
        CheckpointError: The file is missing, damaged or refused, or does not fit.
    """
    checkpoint = load_model(module, address, name, unsafe=unsafe)
    module.is_init = True  # A Runner would otherwise initialise it again.
    return checkpoint.get("meta", {}).get("dataset_meta") or {}
