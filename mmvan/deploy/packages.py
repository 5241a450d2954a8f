"""The packages that exporting needs and training does not."""

import importlib
from types import ModuleType

from mmvan.errors import DeployError


def need(package: str, purpose: str) -> ModuleType:
    """Import a package of the extra ``deploy``.

    Args:
        package: Its import name.
        purpose: What needs it, for the message.

    Raises:
        DeployError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise DeployError(
            f"{purpose} needs {error.name}, which is not installed: pip install 'mmvan[deploy]' "
            "(in a clone: make setup)"
        ) from error
