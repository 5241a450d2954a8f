"""The model of a config with the weights of a checkpoint, as it is exported."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmvan.checkpoint.outline import check_checkpoint
from mmvan.engine.config import load_config
from mmvan.models.van import VAN
from mmvan.zoo.build import load_weights, read_dataset_meta

NEEDS = ("model", "test_dataloader")


def load_model(
    config: str, checkpoint: str, overrides: Mapping[str, Any] | None, part: str | None = None
) -> tuple[nn.Module, Config, dict[str, Any]]:
    """Build a config's model and load all of its weights.

    Args:
        config: The config file.
        checkpoint: File or address (``https://``, ``hf://owner/name``) of the whole model.
        overrides: Settings by dotted key.
        part: ``backbone`` lets the backbone return all four stages, whatever the config's head
            takes of them.

    Returns:
        tuple[nn.Module, Config, dict[str, Any]]: The model in evaluation mode, on the CPU, the
        config, and classes and palette of the dataset.

    Raises:
        ConfigError: The config or an override cannot be used.
        CheckpointError: The checkpoint cannot be used, or does not fit.
    """
    cfg = load_config(config, overrides, NEEDS)
    check_checkpoint(checkpoint, "CHECKPOINT")
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model: Any = revert_sync_batchnorm(MODELS.build(cfg.model))
        meta = read_dataset_meta(cfg)
    meta |= load_weights(model, checkpoint, config)
    if part == "backbone" and isinstance(model.backbone, VAN):
        # Every stage that was built has its norm, which feeds the next stage too.
        model.backbone.out_indices = tuple(range(len(model.backbone.stages)))
    return model.eval(), cfg, meta
