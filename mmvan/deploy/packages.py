"""The packages that exporting needs and training does not."""

import importlib
from types import ModuleType

from mmvan.errors import DeployError


def need(package: str, purpose: str, extra: str = "deploy") -> ModuleType:
    """Import a package of an extra.

    Args:
        package: Its import name.
        purpose: What needs it, for the message.
        extra: The extra of pyproject.toml that installs it.

    Raises:
        DeployError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise DeployError(
            f"{purpose} needs {error.name}, which is not installed: pip install 'mmvan[{extra}]' "
            "(in a clone: make setup)"
        ) from error
