"""mmvan: the Visual Attention Network (arXiv 2202.09741) as an OpenMMLab plugin.

Importing the package only makes the scope ``mmvan`` known to MMEngine; everything else is imported
when it is first used, so that ``import mmvan`` costs next to nothing.
"""

import importlib
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
except ModuleNotFoundError as error:
    # `python -m mmvan.doctor` must be able to start where MMEngine is missing, to say so.
    if (error.name or "").partition(".")[0] != "mmengine":
        raise


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'mmvan' has no attribute {name!r}")
