"""The state dict inside what a checkpoint file holds."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log

# MMEngine and the authors; timm and DeiT; Lightning-like tools; DeepSpeed; plain scripts; BasicSR.
# Averaged weights come last, as beside the others they are another model, and not what a resumed
# run continues with.
WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "module", "net", "weights", "params"),
    *("state_dict_ema", "model_ema", "params_ema"),
)


def copy_state_dict(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A copy to be changed, with the versions of modules that PyTorch keeps beside the tensors."""
    copied = OrderedDict(state_dict)
    if hasattr(state_dict, "_metadata"):
        copied._metadata = state_dict._metadata  # type: ignore[attr-defined]
    return copied


def state_dict_of(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the state dict out of its wrapper.

    Args:
        checkpoint: What a file holds: a state dict, or a dict with one under a usual name.

    Returns:
        Mapping[str, Any]: The state dict; ``checkpoint`` itself if it is not wrapped. Where there
        are averaged weights beside the plain ones, the plain ones, with a line that says so.
    """
    wrappers = [name for name in WRAPPERS if isinstance(checkpoint.get(name), Mapping)]
    if not wrappers:
        return checkpoint
    if len(wrappers) > 1:
        print_log(
            f"the checkpoint holds {' and '.join(wrappers)}: {wrappers[0]} is taken",
            logger="current",
        )
    return checkpoint[wrappers[0]]
