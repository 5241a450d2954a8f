"""Whether one kernel may run in the place of several modules of a model."""

from torch import Tensor, nn

from mmvan.ops.backends import BACKENDS, KERNELS, own_choice, requested_backend
from mmvan.ops.depthwise import DepthwiseConv2d
from mmvan.ops.observers import are_watched, is_looked_at, is_recorded, is_transformed

_KINDS = (DepthwiseConv2d, nn.Conv2d, nn.GELU)


def kernels_are_fused(x: Tensor, *modules: nn.Module) -> bool:
    """Whether a model should call the operators that span several of its modules.

    Otherwise the modules themselves run, as they do wherever somebody would see the difference: see
    :mod:`mmvan.ops.observers`.

    Args:
        x: The input.
        modules: Those that would be passed over; the depthwise convolutions among them decide.

    Raises:
        ModelError: The settings ask for a backend that does not exist.
    """
    if is_recorded(x) or is_transformed(x) or is_looked_at() or are_watched(modules, _KINDS):
        return False
    setting = requested_backend()
    if setting is None:
        weights = [m.weight for m in modules if isinstance(m, DepthwiseConv2d)]
        return own_choice(x, *weights, offers=BACKENDS) in KERNELS
    return setting in KERNELS
