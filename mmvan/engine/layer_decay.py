"""Layer-wise decay of the learning rate, for the models of all three task libraries."""

from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmvan.errors import ConfigError
from mmvan.registry import OPTIM_WRAPPER_CONSTRUCTORS

_NAME = "LayerDecayOptimWrapperConstructor"


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Smaller learning rates for the layers of the backbone that are farther from the head.

    A backbone of L layers after its stem, as its ``get_layer_depth`` counts them, trains layer l
    with ``layer_decay_rate ** (L + 1 - l)`` of the learning rate; heads and necks train with all
    of it (BEiT, arXiv 2106.08254, section 3.1). Everything else in ``paramwise_cfg``, such as
    ``norm_decay_mult`` and ``custom_keys``, works as in MMEngine's constructor, from which it is.

    mmpretrain's own constructor needs a classifier and ignores ``lr_mult``; those of mmdet and
    mmseg refuse backbones that they do not know.

    Args:
        optim_wrapper_cfg: Settings of the optimizer wrapper and its optimizer, which must have an
            ``lr``.
        paramwise_cfg: ``layer_decay_rate``, above 0 and at most 1, and MMEngine's options.

    Raises:
        ConfigError: ``layer_decay_rate`` is missing or out of its range, the optimizer has no
            ``lr``, or, when it is called, the model has no backbone that tells its layers.

    Examples:
        >>> optim_wrapper = dict(
        ...     constructor="mmvan.LayerDecayOptimWrapperConstructor",
        ...     optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05),
        ...     paramwise_cfg=dict(layer_decay_rate=0.9, norm_decay_mult=0.0),
        ... )
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        rate = self.paramwise_cfg.get("layer_decay_rate")
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise ConfigError(
                f"optim_wrapper.paramwise_cfg.layer_decay_rate is {rate!r}; {_NAME} expects a "
                "number above 0 and at most 1, such as 0.9"
            )
        if self.base_lr is None:
            raise ConfigError(f"optim_wrapper.optimizer.lr is not set; {_NAME} scales it by layer")

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = "", **options: Any
    ) -> None:
        """Add a parameter group for each trainable parameter of a module.

        Args:
            params: The groups, added to in place.
            module: The whole model, or a part of it when MMEngine goes through the parts.
            prefix: Name of the part, empty for the whole model.
            **options: What else MMEngine hands down.
        """
        super().add_params(params, module, prefix, **options)
        if not prefix:
            self._decay(params, module)

    def _decay(self, groups: list[dict[str, Any]], model: nn.Module) -> None:
        base_lr: float = self.base_lr
        scales = self._scales(model)
        for group in groups:
            (parameter,) = group["params"]
            group["lr"] = group.get("lr", base_lr) * scales.get(id(parameter), 1.0)
        print_log(
            f"layer-wise decay of the learning rate: {base_lr:g} in the heads, "
            f"{base_lr * min(scales.values()):.3g} in the first layer",
            logger="current",
        )

    def _scales(self, model: nn.Module) -> dict[int, float]:
        """By which factor the rate of each of the backbone's parameters, by id, is multiplied."""
        rate = self.paramwise_cfg["layer_decay_rate"]
        scales = {}
        for backbone in _backbones(model):
            for name, parameter in backbone.named_parameters():
                layer, num_layers = backbone.get_layer_depth(name)
                scales[id(parameter)] = rate ** (num_layers - 1 - layer)
        return scales


def _backbones(model: nn.Module) -> list[Any]:
    named = [m for name, m in model.named_modules() if name.rpartition(".")[2] == "backbone"]
    found = [module for module in named if hasattr(module, "get_layer_depth")]
    if not found:
        kinds = ", ".join(type(module).__name__ for module in named) or "no backbone"
        raise ConfigError(
            f"optim_wrapper.constructor={_NAME!r}: {type(model).__name__} has {kinds}; expected a "
            "backbone with get_layer_depth, such as mmvan.VAN. Leave out the constructor."
        )
    return found
