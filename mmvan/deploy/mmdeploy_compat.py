"""MMDeploy 1.3.1, the last release, on the PyTorch that the project is pinned to."""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch

from mmvan.deploy.packages import need_mmdeploy


@contextmanager
def mmdeploy_on_current_torch() -> Iterator[None]:
    """Let MMDeploy's export to ONNX run; outside the block nothing is changed.

    MMDeploy rewrites the host libraries' functions for PyTorch's exporter that traces, which
    ``torch.onnx.export`` has not used by default since PyTorch 2.9. It also imports
    ``_cast_Long``, the cast to int64, which PyTorch took out in 2.6.

    Raises:
        DeployError: MMDeploy is not installed.
    """
    need_mmdeploy("mmdeploy.apis")
    tracing = partial(torch.onnx.export, dynamo=False)
    # PyTorch's attribute of this name is another module than the one that is imported from.
    symbols = importlib.import_module("torch.onnx.symbolic_opset9")
    logger = logging.getLogger("mmdeploy")
    level = logger.level
    with (
        mock.patch.object(torch.onnx, "export", tracing),
        mock.patch.object(symbols, "_cast_Long", _cast_to_int64, create=True),
    ):
        try:
            yield
        finally:
            logger.setLevel(level)


def _cast_to_int64(graph: Any, value: Any, non_blocking: bool) -> Any:
    del non_blocking  # Of no meaning in a graph.
    return graph.op("Cast", value, to_i=torch.onnx.TensorProtoDataType.INT64)
