"""Which implementation of an operator runs.

In this order: the ``backend`` argument of the operator, :func:`use_backend`, the environment
variable ``MMVAN_OPS_BACKEND`` as it was when this module was imported, what was found fastest on
this device (:mod:`mmvan.ops.choice`), and the operator's own rule. That is by measurement
(`benchmarks/README.md`), and ``triton`` and ``gluon`` are never chosen by it, because they were
never measured on a GPU. An operator that lacks the backend of the two settings, and an input that
the fastest backend cannot compute, are left to the rule.

A graph that is recorded (TorchScript, ONNX, ``torch.export``) holds plain PyTorch operators
whatever was asked for, and so does what is differentiated in forward mode or transformed by
``torch.func``. A model under ``torch.compile`` is compiled again when the setting changes.
"""

import functools
import importlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from mmvan.errors import ModelError, did_you_mean
from mmvan.ops.choice import chosen
from mmvan.ops.native.support import build_fault, supports
from mmvan.ops.observers import in_channels_last, is_recorded, is_transformed

# Those with kernels of their own, which span several modules of a model, and the packages that have
# them: ``launch`` computes, ``support`` says what it cannot compute (:mod:`mmvan.ops.library`).
KERNELS: dict[str, str] = {
    "native": "mmvan.ops.native",
    "triton": "mmvan.ops.triton",
    "gluon": "mmvan.ops.gluon",
}
GPU_BACKENDS = ("triton", "gluon")
BACKENDS: list[str] = ["torch", "phase_split", *KERNELS]
VARIABLE = "MMVAN_OPS_BACKEND"
# As PyTorch sees the processor, and as ATEN_CPU_CAPABILITY may limit it.
HAS_WIDE_VECTORS = torch.backends.cpu.get_cpu_capability() == "AVX512"

_logger = logging.getLogger(__name__)
_reported: set[tuple[str, str, str, torch.dtype]] = set()
# As it was when this module was imported.
_ASKED = os.environ.get(VARIABLE)


class _Setting(threading.local):
    """What a thread asks for; unlike a ``ContextVar``, compiled graphs can depend on it."""

    def __init__(self) -> None:
        self.source = VARIABLE
        self.name = _ASKED


_setting = _Setting()


def add_kernels(name: str, package: str) -> None:
    """Make a backend known that has kernels of its own.

    It runs where it is asked for by its name; it is not among those that ``mmvan tune`` measures.

    Args:
        name: What it is to be called.
        package: Its importable name; it has the modules ``launch`` and ``support``, with the
            functions that those of ``mmvan.ops.native`` have.

    Raises:
        ModelError: There is a backend of this name.
    """
    if name in BACKENDS:
        raise ModelError(f"there is a backend {name!r} already: {', '.join(BACKENDS)}")
    KERNELS[name] = package
    BACKENDS.append(name)


@contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Use a backend in every operator that has it, as long as the context lasts.

    Other threads keep their own. Gradients are computed by the backend of the forward pass.

    Args:
        name: One of ``BACKENDS``, or None for the operators' own choice.

    Raises:
        ModelError: The name is none of them.
    """
    before = _setting.source, _setting.name
    _setting.source, _setting.name = "use_backend", name
    try:
        requested_backend()
        yield
    finally:
        _setting.source, _setting.name = before


def requested_backend() -> str | None:
    """The backend that :func:`use_backend` or the environment asks for, or None.

    Raises:
        ModelError: There is none of this name.
    """
    name = _setting.name
    return _checked(_setting.source, name, BACKENDS) if name else None


def own_choice(x: Tensor, *weights: Tensor, offers: Sequence[str], otherwise: str = "torch") -> str:
    """What an operator runs where nobody asks for a backend.

    Args:
        x: The input.
        weights: Of the depthwise convolutions.
        offers: What the operator has.
        otherwise: What its rule says where the C operators are out of the question.
    """
    choice = chosen(x.device.type)
    if choice is None:
        native = "native" in offers and native_is_faster(x, *weights)
        return "native" if native else otherwise
    backend = _checked("the choice of operators", choice.backend, BACKENDS)
    return backend if backend in offers and _computes(backend, x, *weights) else otherwise


def _computes(backend: str, x: Tensor, *weights: Tensor) -> bool:
    if backend == "native":
        return supports(x, *weights) and build_fault() is None
    if backend in GPU_BACKENDS:
        return device_fault(backend, x.device) is None and x.device.type == "cuda"
    return True


def device_fault(backend: str, device: torch.device) -> str | None:
    """Why none of a GPU backend's kernels runs on a device; None if they do.

    A choice may come from another machine, with the checkpoint of a run.
    """
    return _device_fault(backend, device)


# As for ``build_fault``: what a graph is compiled with holds for the process.
vars(device_fault)["_dynamo_marked_constant"] = True


@functools.cache
def _device_fault(backend: str, device: torch.device) -> str | None:
    support = importlib.import_module(f"{KERNELS[backend]}.support")
    return next(support.device_faults(device), None)


def native_is_faster(x: Tensor, *weights: Tensor) -> bool:
    """Whether the C operators take an input and were measured faster on its kind.

    That is float32 in channels_last on CPUs with AVX-512: their inner loops fill its registers.
    With AVX2 alone they took 1.5 times as long as ``phase_split`` forward, and twice as long
    forward and backward (`docs/operators.md`).
    """
    channels_last = in_channels_last(x) and not x.is_contiguous()
    return HAS_WIDE_VECTORS and channels_last and supports(x, *weights) and build_fault() is None


def choose_backend(
    op: str,
    tensors: Sequence[Tensor | None],
    offers: Sequence[str],
    automatic: str,
    argument: str | None,
) -> str:
    """Choose the backend of one call, and tell the log when an operator uses it first.

    Args:
        op: Name of the operator.
        tensors: Its input and its parameters.
        offers: What the operator has.
        automatic: What the operator chooses by itself for this input.
        argument: What its caller asked for, or None.

    Raises:
        ModelError: The argument is not among the offers, or the setting is no backend.
    """
    setting = requested_backend()
    chosen = setting if setting is not None and setting in offers else automatic
    if argument is not None:
        chosen = _checked(f"{op}: backend", argument, offers)
    x, *parameters = (tensor for tensor in tensors if tensor is not None)
    if is_recorded(x) or is_transformed(x, *parameters):
        return "torch"
    if not torch.compiler.is_compiling():  # A log call would break the graph.
        _report(op, chosen, x.device.type, x.dtype)
    return chosen


def _checked(source: str, name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise ModelError(
            f"{source} must be one of {', '.join(names)}, got {name!r}.{did_you_mean(name, names)}"
        )
    return name


def _report(op: str, backend: str, device: str, dtype: torch.dtype) -> None:
    key = (op, backend, device, dtype)
    if key not in _reported:
        _reported.add(key)
        _logger.info("%s on %s, %s: %s", op, device, str(dtype).removeprefix("torch."), backend)
