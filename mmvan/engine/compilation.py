"""Compiling the backbone, and nothing else of a model, with ``torch.compile``."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from mmvan.errors import ConfigError
from mmvan.models import VAN
from mmvan.registry import HOOKS


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """Compile the backbone before a run, in place, so that names in checkpoints do not change.

    Forward and backward pass of the backbone become one graph each, one pair for training and one
    for evaluation. When the size of the images changes, PyTorch compiles once more, for any size
    (``dynamic=None``). EMAHook's copy of the model is not compiled; for evaluation it lends its
    weights to the original, which is.

    MMEngine's own setting, ``compile`` in a config, compiles the whole training step: the heads of
    detectors and segmentors choose by value, which breaks it into many graphs.

    On two CPU cores a compiled training step gained 4 % over a plain one in channels_last (VAN-B0,
    batch 8, `benchmarks/README.md`), after minutes of compiling.

    Args:
        **options: Options of :func:`torch.compile`.

    Raises:
        ConfigError: When a run starts, if the model has no VAN inside, or this machine lacks what
            compiling needs.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def before_run(self, runner: Any) -> None:
        """Compile the backbones of the runner's model."""
        backbones = [module for module in runner.model.modules() if isinstance(module, VAN)]
        if not backbones:
            raise ConfigError(
                f"CompileBackboneHook (--compile): {_innermost_name(runner.model)} has no "
                "mmvan.VAN inside. Leave it out."
            )
        device = next(backbones[0].parameters()).device
        check_compiler(device, self.options)
        for backbone in backbones:
            backbone.compile(**self.options)
        runner.logger.info(
            f"{len(backbones)} backbone(s) will be compiled for {device.type}: the first "
            "iterations of training and of evaluation take minutes"
        )


def check_compiler(device: torch.device, options: dict[str, Any]) -> None:
    """Compile something tiny, as the backbone will be, before anything long begins.

    Args:
        device: Where the backbone is.
        options: Options of :func:`torch.compile`.

    Raises:
        ConfigError: It cannot be compiled: PyTorch's default backend, inductor, needs a C++
            compiler for CPUs and Triton for GPUs.
    """
    try:
        torch.compile(_next_number, **options)(torch.zeros(8, device=device))
    except TorchDynamoException as error:
        cause = getattr(error, "inner_exception", error)
        reason = str(cause).strip().partition("\n")[0]
        needed = "a C++ compiler (g++, or the one that CXX names)"
        if device.type != "cpu":
            needed = f"Triton and a C compiler (gcc, or the one that CC names), and {needed}"
        raise ConfigError(
            f"--compile: torch.compile does not work on {device.type} here: {reason}. It needs "
            f"{needed}; or leave out --compile."
        ) from error


def _next_number(x: Tensor) -> Tensor:
    return x + 1


def _innermost_name(model: nn.Module) -> str:
    return type(getattr(model, "module", model)).__name__
