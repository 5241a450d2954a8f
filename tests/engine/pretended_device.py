"""A device called ``gpu`` that computes on the CPU, and refuses tensors that were left there.

A tensor of it holds one of the CPU; every operator that PyTorch dispatches is computed with that,
after a look at where the other tensors are. PyTorch's rules hold: single numbers and indices may be
on the CPU, and copies go from anywhere to anywhere. It stays in the process that sets it up.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from mmengine.structures import instance_data
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "gpu"
_aten = torch.ops.aten
# What is registered ends with these.
_AUTOCAST = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
_OTHERS = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
_KERNELS = torch.library.Library("aten", "IMPL", "PrivateUse1")
# Of which an argument may be elsewhere.
_ANYWHERE = {_aten.copy_, _aten._to_copy, _aten.index, _aten.index_put, _aten.index_put_}
# Of what autocast computes in fewer bits on a GPU, and in float32, that which detectors have.
_LOWER = ("conv2d", "conv_transpose2d.input", "linear", "matmul", "bmm")
_FLOAT32 = (
    *("exp", "log", "log1p", "pow.Tensor_Scalar", "reciprocal", "rsqrt", "softplus"),
    *("layer_norm", "group_norm", "softmax.int", "log_softmax.int", "cumsum", "sum", "prod"),
    *("cross_entropy_loss", "binary_cross_entropy_with_logits", "smooth_l1_loss", "l1_loss"),
    *("grid_sampler",),
)


class OnDevice(Tensor):
    """A tensor that says it is on the device.

    Args:
        content: Its values, on the CPU.
    """

    content: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls: type["OnDevice"], content: Tensor) -> "OnDevice":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            content.size(),
            strides=content.stride(),
            storage_offset=content.storage_offset(),
            dtype=content.dtype,
            device=f"{NAME}:0",
        )
        made.content = content
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Kind(type):
    """Of types of tensors, such as ``torch.cuda.BoolTensor``."""

    dtype: torch.dtype

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, OnDevice) and value.dtype is cls.dtype


class BoolTensor(metaclass=_Kind):
    """True and false, on the device."""

    dtype = torch.bool


class LongTensor(metaclass=_Kind):
    """Integers of 64 bits, on the device."""

    dtype = torch.int64


class PretendedDevice(TorchDispatchMode):
    """In its block, the device exists."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Backend(_DummyBackendModule):
    """What PyTorch asks a device for."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def set_up(modules: Sequence[ModuleType]) -> None:
    """Make the device known to PyTorch, and to functions that are not dispatched.

    Args:
        modules: Of mmcv, whose ``ext_module`` has such functions.
    """
    _setup_privateuseone_for_python_backend(NAME, _Backend())
    # Parameters become tensors of another class.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    _set_up_autocast()
    # Lists that are indices become tensors where modes are left out.
    _KERNELS.impl("empty_strided", _empty_strided)
    _KERNELS.impl("_copy_from", _copy_from)
    # MMEngine has lists of types for the devices that it knows.
    instance_data.BoolTypeTensor |= BoolTensor
    instance_data.IndexType |= BoolTensor | LongTensor
    for module in modules:
        module.ext_module = _Undispatched(module.ext_module)


def _empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> OnDevice:
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _content(target).copy_(_content(source))
    return target


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    _check(func, tensors)
    device = kwargs.get("device")
    there = any(isinstance(tensor, OnDevice) for tensor in tensors)
    if device is not None:
        there = torch.device(device).type == NAME
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*tree_map(_content, args), **tree_map(_content, kwargs))
    # What is changed in place stays the same object.
    known = {id(_content(tensor)): tensor for tensor in tensors}
    return tree_map(lambda one: known.get(id(one), _placed(one, there)), result)


def _check(func: Any, tensors: Sequence[Tensor]) -> None:
    left = [one for one in tensors if not isinstance(one, OnDevice) and one.dim() > 0]
    if len(left) in (0, len(tensors)) or getattr(func, "overloadpacket", func) in _ANYWHERE:
        return
    if any(isinstance(tensor, OnDevice) for tensor in tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in left)
        raise RuntimeError(f"{func}: tensors are on the CPU, of shape {shapes}")


def _content(value: Any) -> Any:
    return value.content if isinstance(value, OnDevice) else value


def _placed(value: Any, there: bool) -> Any:
    if isinstance(value, Tensor) and there and not isinstance(value, OnDevice):
        return OnDevice(value)
    return value


class _Undispatched:
    """mmcv's compiled functions, of which PyTorch sees nothing."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._module, name)
        return lambda *args, **options: _compute(function, args, options)

    def nms(self, boxes: Tensor, scores: Tensor, **options: Any) -> Tensor:
        """That of the GPU reads boxes in float32, and only sorts by the scores."""
        result: Tensor = _compute(self._module.nms, (boxes, scores.float()), options)
        return result


def _set_up_autocast() -> None:
    """Give the device the lists of a GPU, of which PyTorch leaves this to each new device."""
    for names, dtype in ((_LOWER, torch.bfloat16), (_FLOAT32, torch.float32)):
        for name in names:
            _AUTOCAST.impl(name, _casting(name, dtype))
    _OTHERS.fallback(torch.library.fallthrough_kernel)


def _casting(name: str, dtype: torch.dtype) -> Callable[..., Any]:
    packet, _, overload = name.partition(".")
    function = getattr(getattr(_aten, packet), overload or "default")

    def cast(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype)
        return value

    def run(*args: Any, **options: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(
            torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
        ):
            return function(*tree_map(cast, args), **tree_map(cast, options))

    return run
