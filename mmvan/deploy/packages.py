"""The packages that exporting needs and training does not."""

import importlib
from functools import cache
from types import ModuleType
from typing import Any

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


@cache
def _shared_core() -> Any:
    return importlib.import_module("openvino").Core()


def openvino_core(purpose: str) -> Any:
    """The one ``openvino.Core`` of this process.

    A Core that ends with its models frees the stack that signals are handled on, which another may
    have left in use (2026.4.1): the next one that Python handles, a Ctrl-C or the end of a loader's
    worker, would be a segmentation fault.

    Args:
        purpose: As for :func:`need`.

    Raises:
        DeployError: OpenVINO is not installed.
    """
    need("openvino", purpose)
    return _shared_core()


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
