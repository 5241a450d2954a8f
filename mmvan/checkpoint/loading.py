"""Loading whole models from files that mmvan reads itself: all of the model or nothing."""

from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmvan.checkpoint.reading import weights_in
from mmvan.checkpoint.recognise import listing
from mmvan.checkpoint.schemes import read_address
from mmvan.checkpoint.trust import trusting_pickles
from mmvan.checkpoint.whole_model import adapt_whole_state_dict, find_gaps
from mmvan.checkpoint.wrappers import copy_state_dict
from mmvan.errors import CheckpointError

_CLASSES = "made for another number of classes: "
_OTHER_CLASSES = (
    " The number of classes is num_classes of the head: get_model(..., head=dict(num_classes=N)), "
    "or --cfg-options model.head.num_classes=N, for a classifier."
)


def load_model(
    model: nn.Module, address: str, name: str, *, unsafe: bool = False
) -> Mapping[str, Any]:
    """Load all tensors of a whole model from a file in any layout.

    Args:
        model: The model.
        address: A path, ``https://...`` or ``hf://owner/name``.
        name: What the model is called, for the message.
        unsafe: Let the file execute whatever it asks for; only for files that you made.

    Returns:
        Mapping[str, Any]: What the file holds.

    Raises:
        CheckpointError: The file is missing, damaged or refused, does not fit, or lacks a tensor.
            Nothing has been loaded then.
    """
    with trusting_pickles(unsafe):
        checkpoint = read_address(address)
    state_dict = copy_state_dict(weights_in(checkpoint))
    try:
        problems = misfits(model, state_dict)
    except CheckpointError as error:
        raise CheckpointError(f"{address} does not fit {name}: {error}") from error
    if problems:
        classes = _OTHER_CLASSES if problems[0].startswith(_CLASSES) else ""
        raise CheckpointError(
            f"{address} does not fit {name}: {'; '.join(problems)}; nothing was loaded.\nA file of "
            "the backbone alone goes into the backbone: init_cfg=dict(type='Pretrained', "
            f"checkpoint=...) in a config.{classes}"
        )
    model.load_state_dict(state_dict, strict=False)
    return checkpoint


def misfits(model: nn.Module, state_dict: dict[str, Any]) -> list[str]:
    """Adapt a state dict to a model, in place, and say what would stay as it is in the model.

    Args:
        model: The model.
        state_dict: A file's weights, in any layout.

    Returns:
        list[str]: Empty if every tensor of the model comes from the file. What the file holds
        beyond that is one line in the log.

    Raises:
        CheckpointError: The backbone's tensors do not fit.
    """
    kept = adapt_whole_state_dict(model, state_dict)
    missing = find_gaps(model, state_dict)
    expected = model.state_dict()
    wrong = [
        f"{key} {tuple(state_dict[key].shape)} instead of {tuple(own.shape)}"
        for key, own in expected.items()
        if key in state_dict and state_dict[key].shape != own.shape
    ]
    unused = [key for key in state_dict if key not in expected]
    if unused:
        print_log(f"not used by this model: {listing(unused)}", logger="current")
    problems = {
        _CLASSES: kept,
        "not in the file: ": missing,
        "of another shape: ": wrong,
    }
    return [f"{kind}{listing(names)}" for kind, names in problems.items() if names]
