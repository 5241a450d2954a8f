"""The weights that a backbone's ``init_cfg`` names: all of the backbone or an error."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.model import PretrainedInit, update_init_info
from torch import nn

from mmvan.checkpoint.adapt import adapt_state_dict
from mmvan.checkpoint.input_channels import adapt_input_conv
from mmvan.checkpoint.layouts import MMVAN
from mmvan.checkpoint.reading import weights_in
from mmvan.checkpoint.recognise import listing, require_backbone
from mmvan.checkpoint.schemes import read_address
from mmvan.errors import CheckpointError
from mmvan.registry import WEIGHT_INITIALIZERS

InitCfg = dict[str, Any] | list[dict[str, Any]] | None
_THEIRS = ("Pretrained", "PretrainedInit", PretrainedInit)
_OURS = "mmvan.PretrainedBackbone"


def load_wholly(init_cfg: InitCfg) -> InitCfg:
    """Replace MMEngine's ``Pretrained``, which keeps silent about what a file lacks, by ours.

    Args:
        init_cfg: As a user writes it.

    Returns:
        The same with the weights last, which overwrite every other initialisation.
    """
    if not init_cfg:
        return init_cfg
    cfgs: Sequence[Mapping[str, Any]] = [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg
    files = [{**cfg, "type": _OURS} for cfg in cfgs if cfg.get("type") in _THEIRS]
    others = [dict(cfg) for cfg in cfgs if cfg.get("type") not in _THEIRS]
    return others + files


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone:
    """Loads all tensors of a backbone from a file in any layout; what else it holds is left out.

    Args:
        checkpoint: A path, ``https://...`` or ``hf://owner/name``.
        prefix: Where to look in the file, such as ``backbone.``; None looks everywhere.
        map_location: As for ``torch.load``.
        adapt_in_channels: Fit the first convolution to the backbone's ``in_channels``, see
            :func:`mmvan.checkpoint.input_channels.adapt_input_conv`.

    Raises:
        CheckpointError: When it is called: the file is missing, damaged or refused, or does not
            fit. The backbone keeps its weights then.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: Any = "cpu",
        adapt_in_channels: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location
        self.adapt_in_channels = adapt_in_channels

    def __call__(self, module: nn.Module) -> None:
        """Load into a :class:`mmvan.VAN`."""
        checkpoint = read_address(self.checkpoint, self.map_location)
        try:
            state_dict = self._inside(weights_in(checkpoint))
            if self.adapt_in_channels:
                _adapt_stem(state_dict, module)
            adapt_state_dict(state_dict, "", module.state_dict())
        except CheckpointError as error:
            raise CheckpointError(f"{self.checkpoint}: {error}") from error
        # All that may be missing is num_batches_tracked.
        module.load_state_dict(state_dict, strict=False)
        if hasattr(module, "_params_init_info"):  # MMEngine's record, while it initialises.
            update_init_info(module, init_info=f"PretrainedBackbone: load from {self.checkpoint}")

    def _inside(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """The entries under the prefix, without it."""
        if self.prefix is None:
            return dict(state_dict)
        start = self.prefix if self.prefix.endswith(".") else f"{self.prefix}."
        inside = {k.removeprefix(start): v for k, v in state_dict.items() if k.startswith(start)}
        if not inside:
            raise CheckpointError(
                f"nothing under prefix={self.prefix!r}; the keys begin with {listing(state_dict)}"
            )
        return inside


def _adapt_stem(state_dict: dict[str, Any], module: nn.Module) -> None:
    """Fit the first convolution in a file to the module's number of channels."""
    found = require_backbone(state_dict)
    key = found.prefix + found.layout.stem
    weight, channels = state_dict[key], module.get_parameter(MMVAN.stem).shape[1]
    if weight.shape[1] == 3 != channels:
        state_dict[key] = adapt_input_conv(weight, channels)
        way = "summed to 1" if channels == 1 else f"repeated and scaled to {channels}"
        print_log(f"VAN backbone: the 3 input channels of {key} are {way}", logger="current")
