"""Who would see a difference if a kernel ran in the place of modules and PyTorch's operators."""

from collections.abc import Iterable

import torch
from torch import Tensor, fx, nn
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_recorded(x: Tensor | fx.Proxy) -> bool:
    """Whether the computation with ``x`` becomes a graph: TorchScript, ONNX, export or FX.

    Such a graph holds plain PyTorch operators, which every runtime has.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return tracing or torch.compiler.is_exporting() or isinstance(x, fx.Proxy)


def is_transformed(x: Tensor) -> bool:
    """Whether more than the value and its gradient is asked for: forward mode, vmap, torch.func."""
    if torch.compiler.is_compiling():
        return False
    functions = torch._C._are_functorch_transforms_active()
    return functions or forward_ad.unpack_dual(x).tangent is not None


def is_looked_at() -> bool:
    """Whether a dispatch mode looks at every operator.

    PyTorch's ``FlopCounterMode`` is one: it knows its own operators, not ours.
    """
    return not torch.compiler.is_compiling() and is_in_torch_dispatch_mode(
        include_infra_modes=False
    )


def in_channels_last(x: Tensor) -> bool:
    """Whether a map has the layout channels_last; one that is recorded or transformed has none."""
    if is_recorded(x) or is_transformed(x):
        return False
    return x.is_contiguous(memory_format=torch.channels_last)


def are_watched(modules: Iterable[nn.Module], kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether somebody would notice that some modules are passed over.

    Args:
        modules: Those that a kernel would pass over.
        kinds: What they are as they are built here. Another class, a subclass among them, may
            compute something else; so may a parametrization, a hook or a ``forward`` of its own.
    """
    return _has_any_global_hook() or any(
        type(module) not in kinds
        or "parametrizations" in module._modules
        or "forward" in module.__dict__
        or any(getattr(module, hooks) for hooks in _HOOKS)
        for module in modules
    )
