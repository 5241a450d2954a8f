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


def need_mmdeploy(module: str = "mmdeploy") -> ModuleType:
    """Import a module of MMDeploy, which pip cannot install with its dependencies.

    It asks for protobuf 3.20, and ONNX for a later one; MMDeploy runs with that too.

    Raises:
        DeployError: It, or one of its dependencies, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DeployError(
            f"--part whole of a detector needs {error.name}, which is not installed: pip install "
            "'mmvan[deploy,deploy-detection]', then pip install --no-deps mmdeploy==1.3.1"
        ) from error
