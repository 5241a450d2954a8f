"""Who would see a difference if a kernel ran in the place of modules and PyTorch's operators."""

from collections.abc import Iterable
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

_TENSORS = (Tensor, nn.Parameter, type(None))
# PyTorch 2.6 does not tell one from the other: there, what is compiled is plain, too.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
# Of PyTorch's module of modules, which has others that are kept besides one of these.
_GLOBAL_HOOKS = tuple(
    getattr(torch_module, f"_global_{kind}_hooks")
    for kind in ("backward_pre", "backward", "forward_pre", "forward")
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_recorded(x: Tensor | fx.Proxy) -> bool:
    """Whether the computation with ``x`` becomes a graph: TorchScript, ONNX, export or FX.

    Such a graph holds plain PyTorch operators, which every runtime has.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return tracing or _is_exporting() or isinstance(x, fx.Proxy)


def is_transformed(*tensors: Any) -> bool:
    """Whether more than the value and its gradient is asked for: forward mode, vmap, torch.func."""
    if torch.compiler.is_compiling():
        return False
    functions = torch._C._are_functorch_transforms_active()
    return functions or any(forward_ad.unpack_dual(x).tangent is not None for x in tensors)


def is_looked_at() -> bool:
    """Whether a dispatch mode looks at every operator.

    PyTorch's ``FlopCounterMode`` is one: it knows its own operators, not ours.
    """
    return not torch.compiler.is_compiling() and is_in_torch_dispatch_mode(
        include_infra_modes=False
    )


def is_seen(x: Tensor | fx.Proxy) -> bool:
    """Whether the computation itself is recorded, transformed or looked at."""
    return is_recorded(x) or is_transformed(x) or is_looked_at()


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
            compute something else; so may a parametrization, a hook, a ``forward`` of its own, or
            parameters that are tensors of another class.
    """
    return any(_GLOBAL_HOOKS) or any(
        type(module) not in kinds
        or "parametrizations" in module._modules
        or "forward" in module.__dict__
        or any(getattr(module, hooks) for hooks in _HOOKS)
        or any(type(weight) not in _TENSORS for weight in module._parameters.values())
        for module in modules
    )


def is_depthwise(conv: nn.Module, dilation: int | None = None) -> TypeGuard[nn.Conv2d]:
    """Whether a convolution is depthwise, of odd size, and keeps the size of its input.

    Args:
        conv: As it is now, whatever it was when it was built.
        dilation: The distance of its taps; None for any.
    """
    if not isinstance(conv, nn.Conv2d) or dilation not in (None, conv.dilation[0]):
        return False
    size = conv.weight.shape[-1]
    return size % 2 == 1 and _keeps_size(conv, (conv.groups, 1, size, size), conv.groups)


def is_pointwise(conv: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a convolution is a plain 1x1 one."""
    return isinstance(conv, nn.Conv2d) and _keeps_size(conv, (*conv.weight.shape[:2], 1, 1), 1)


def _keeps_size(conv: nn.Conv2d, shape: tuple[int, ...], groups: int) -> bool:
    dilation = conv.dilation[0]
    reach = dilation * (shape[-1] - 1) // 2
    return (
        conv.groups == groups
        and conv.padding_mode == "zeros"
        and tuple(conv.weight.shape) == shape
        and tuple(conv.stride) == (1, 1)
        and tuple(conv.dilation) == (dilation, dilation)
        and tuple(conv.padding) == (reach, reach)
    )
