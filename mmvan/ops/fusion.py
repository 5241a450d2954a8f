"""Whether one kernel may run in the place of several modules of a model."""

from torch import Tensor, nn

from mmvan.ops.backends import BACKENDS, KERNELS, own_choice, requested_backend
from mmvan.ops.observers import are_watched, is_depthwise, is_pointwise, is_seen

_KINDS = (nn.Conv2d, nn.GELU)


def kernels_are_fused(x: Tensor, *modules: nn.Module) -> bool:
    """Whether a model should call the operators that span several of its modules.

    Otherwise the modules themselves run, as they do wherever somebody would see the difference (see
    :mod:`mmvan.ops.observers`) or has changed one after it was built.

    Args:
        x: The input.
        modules: Those that would be passed over; the depthwise convolutions among them decide.

    Raises:
        ModelError: The settings ask for a backend that does not exist.
    """
    if is_seen(x) or are_watched(modules, _KINDS) or not all(map(_is_as_built, modules)):
        return False
    setting = requested_backend()
    if setting is None:
        weights = [m.weight for m in modules if isinstance(m, nn.Conv2d) and is_depthwise(m)]
        return own_choice(x, *weights, offers=BACKENDS) in KERNELS
    return setting in KERNELS


def _is_as_built(module: nn.Module) -> bool:
    """Whether a module computes what the kernels do: with a bias, and the exact GELU."""
    if isinstance(module, nn.GELU):
        return module.approximate == "none"
    is_conv = isinstance(module, nn.Conv2d) and module.bias is not None
    return is_conv and (is_depthwise(module) or is_pointwise(module))
