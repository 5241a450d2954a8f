"""Repeat the step that ``mmvan.NaNGuardHook`` saved: ``mmvan replay-nan FILE``."""

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmvan.engine.device import choose_device
from mmvan.engine.nan_file import Reproducer, from_plain, read_reproducer
from mmvan.engine.nan_trace import Trace, trace_step
from mmvan.engine.options import add_device
from mmvan.engine.processes import use_plain_batch_norm
from mmvan.errors import CheckpointError

DESCRIPTION = (
    "Repeat the step of a nan_*.pth file, and print what every layer gives. The "
    "file is read safely, but its config builds the model: use your own files."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help="nan_<iteration>.pth from a work directory")
    add_device(parser)


def build_model(reproducer: Reproducer, device: str) -> nn.Module:
    """The model as it was before the step, in training mode.

    Raises:
        CheckpointError: The run's model was not described by its config, or another one than now.
    """
    cfg = Config(reproducer.config)
    if not isinstance(cfg.get("model"), dict):
        raise CheckpointError("the config in the file does not describe a model; it was an object")
    init_default_scope(cfg.get("default_scope", "mmengine"))
    use_plain_batch_norm(cfg)
    model = MODELS.build(cfg.model)
    try:
        model.load_state_dict(reproducer.state_dict)
    except RuntimeError as error:
        raise CheckpointError(f"the weights in the file do not fit its config: {error}") from error
    return model.to(device).train()


def autocast(reproducer: Reproducer, device: str) -> Callable[[], AbstractContextManager[Any]]:
    """The context of the forward pass: the run's precision, which a CPU emulates."""
    if reproducer.precision is None:
        return nullcontext
    return lambda: torch.autocast(device, getattr(torch, str(reproducer.precision)))


def print_trace(trace: Trace) -> None:
    """Print every layer's values, the losses, and what was found first."""
    width = max(map(len, trace.outputs), default=0)
    for layer, values in trace.outputs.items():
        print(f"{layer:<{width}}  {values}{'' if values.finite else '  <--'}")
    for index, losses in enumerate(trace.losses):
        numbers = ", ".join(f"{name} {float(value):.4g}" for name, value in losses.items())
        print(f"batch {index}: {numbers}")
    print(f"\nfirst: {trace.finding or 'nothing; all values are finite here'}")


def run(args: argparse.Namespace) -> None:
    """Repeat the step."""
    device = choose_device(args.device)
    reproducer = read_reproducer(args.file)
    print(f"then:  {reproducer.message}\n")
    model = build_model(reproducer, device)
    batches = from_plain(reproducer.batches)
    print_trace(trace_step(model, batches, autocast(reproducer, device), reproducer.scale))
