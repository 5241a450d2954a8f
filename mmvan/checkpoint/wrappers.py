"""The state dict inside what a checkpoint file holds."""

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
