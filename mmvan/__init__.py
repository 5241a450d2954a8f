"""mmvan: the Visual Attention Network (arXiv 2202.09741) as an OpenMMLab plugin.

Importing the package makes the scope ``mmvan`` known to MMEngine and MMEngine's own checkpoints
loadable by ``torch.load``; everything else is imported when it is first used, so that beside
PyTorch and MMEngine ``import mmvan`` costs next to nothing.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from mmvan.version import __version__

if TYPE_CHECKING:
    from mmvan.models import VAN
    from mmvan.zoo.build import get_model
    from mmvan.zoo.catalogue import list_models

__all__ = ["VAN", "__version__", "get_model", "list_models"]
_MODULES = {
    "VAN": "mmvan.models",
    "get_model": "mmvan.zoo.build",
    "list_models": "mmvan.zoo.catalogue",
}

try:
    from mmvan import registry  # noqa: F401
    from mmvan.checkpoint.safe_globals import allow_mmengine_checkpoints

    # Here and not with the backbone: inferencers read a checkpoint before they build its model.
    allow_mmengine_checkpoints()
    if "mmengine.runner.checkpoint" in sys.modules:  # It takes a second; the backbone imports it.
        from mmvan.checkpoint.schemes import add_hub_scheme

        add_hub_scheme()
except ModuleNotFoundError as error:
    # `python -m mmvan.doctor` must be able to start where these are missing, to say so.
    if (error.name or "").partition(".")[0] not in ("mmengine", "torch", "numpy", "safetensors"):
        raise


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'mmvan' has no attribute {name!r}")
