"""The model of a command line: a config or a name, and the file of its weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope

from mmvan.engine.config import load_config
from mmvan.errors import CheckpointError, ConfigError, did_you_mean
from mmvan.location import zoo_dir
from mmvan.zoo.build import load_weights, read_dataset_meta
from mmvan.zoo.catalogue import find_model, named_models

NEEDS = ("model", "test_dataloader")
_ADDRESSES = ("https://", "http://", "hf://")
_CHECKPOINT_ENDINGS = (".pth", ".pt", ".tar", ".safetensors", ".bin", ".ckpt")


def looks_like_checkpoint(text: str) -> bool:
    """Whether an argument names weights rather than an image, by its scheme or ending."""
    return text.startswith(_ADDRESSES) or text.lower().endswith(_CHECKPOINT_ENDINGS)


def split_checkpoint(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell the optional checkpoint at the beginning from the inputs that follow it."""
    if arguments and looks_like_checkpoint(arguments[0]):
        return arguments[0], list(arguments[1:])
    return None, list(arguments)


def find_config(
    config: str, overrides: Mapping[str, Any] | None = None, needs: Sequence[str] = NEEDS
) -> Config:
    """The config of a path or of a name of :func:`mmvan.list_models`.

    Args:
        config: The path or the name.
        overrides: Values by dotted key, from ``--cfg-options``.
        needs: Top-level keys that the command cannot do without.

    Raises:
        ConfigError: It is neither, or the config cannot be used.
    """
    if config in named_models():
        config = str(zoo_dir() / find_model(config).config)
    elif not Path(config).exists() and Path(config).suffix != ".py":
        raise ConfigError(
            f"CONFIG {config}: neither a file nor a model's name."
            f"{did_you_mean(config, named_models())} mmvan.list_models() has all names."
        )
    return load_config(config, overrides, needs)


def find_checkpoint(config: str, checkpoint: str | None) -> str:
    """The file of the weights: the one given, or what is published under the model's name.

    Raises:
        CheckpointError: There is none, or the published one lacks the head.
    """
    if checkpoint:
        return checkpoint
    if config not in named_models():
        raise CheckpointError(
            f"CHECKPOINT is missing: give the weights after the config, such as "
            f"work_dirs/{Path(config).stem}/epoch_1.pth. Only a model's name stands for published "
            "weights (mmvan.list_models())."
        )
    weights = find_model(config).weights
    if weights is None or weights.holds == "backbone":
        found = "only those of the backbone" if weights else "no weights"
        raise CheckpointError(
            f"CHECKPOINT is missing: {found} are published under {config}. Train it, and give the "
            "file after the name."
        )
    return weights.address


def build_model(cfg: Config, checkpoint: str | None, device: str) -> BaseModel:
    """Build a config's model in evaluation mode, with every weight from the file.

    Args:
        cfg: The config.
        checkpoint: Path or address of the weights; None for random ones.
        device: Where it computes.

    Returns:
        BaseModel: The model, with ``cfg`` and ``dataset_meta`` set: classes and palette are the
        file's, where it has them, else the config's.

    Raises:
        CheckpointError: The file cannot be used, or does not hold all of the model.
    """
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        model.dataset_meta = read_dataset_meta(cfg)
    model.cfg = cfg
    if checkpoint:
        found = load_weights(model, checkpoint, str(cfg.filename))
        model.dataset_meta |= {key.lower(): value for key, value in found.items()}
    return model.to(device).eval()
