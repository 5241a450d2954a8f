"""The operators with kernels of their own as PyTorch knows them: shapes and gradients.

Each ``backend`` is a package, named in :data:`mmvan.ops.backends.KERNELS`. Its ``launch`` computes,
its ``support`` says what it cannot compute. Both are imported when they are first needed, so that
mmvan works without what the kernels are made with.

A forward pass keeps its inputs and nothing else; the backward pass computes what was in between
again. Where the gradient itself is to be differentiated (``create_graph=True``), PyTorch's
operators compute it.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.library import custom_op

from mmvan.errors import ModelError
from mmvan.ops.backends import KERNELS


@custom_op("mmvan::depthwise_pair", mutates_args=())
def depthwise_pair(
    x: Tensor,
    weight_1: Tensor,
    bias_1: Tensor,
    weight_2: Tensor,
    bias_2: Tensor,
    dilation: int,
    backend: str,
) -> Tensor:
    """Two depthwise convolutions in a row that keep the size, the second one dilated.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last, else it is copied.
        weight_1: Shape (C, 1, K, K), K odd.
        bias_1: Shape (C,).
        weight_2: As ``weight_1``, with its own K.
        bias_2: Shape (C,).
        dilation: Of the second one.
        backend: Whose kernels compute it.

    Returns:
        Shape (N, C, H, W), with the type and layout of x.

    Raises:
        ModelError: The kernels cannot compute this.
    """
    _check(backend, "large_kernel_attention", x, weight_1, bias_1, weight_2, bias_2)
    return _launch(backend).pair(x, weight_1, bias_1, weight_2, bias_2, dilation)


@depthwise_pair.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return _empty_map(x)


@custom_op("mmvan::depthwise_pair_backward", mutates_args=())
def depthwise_pair_backward(
    grad: Tensor,
    x: Tensor,
    weight_1: Tensor,
    bias_1: Tensor,
    weight_2: Tensor,
    bias_2: Tensor,
    dilation: int,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`depthwise_pair` for its five tensors, of their shapes and types."""
    return _launch(backend).pair_backward(grad, x, weight_1, bias_1, weight_2, bias_2, dilation)


@depthwise_pair_backward.register_fake
def _(
    _grad: Tensor,
    x: Tensor,
    weight_1: Tensor,
    bias_1: Tensor,
    weight_2: Tensor,
    bias_2: Tensor,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    parameters = (weight_1, bias_1, weight_2, bias_2)
    w1, b1, w2, b2 = (torch.empty_like(parameter) for parameter in parameters)
    return _empty_map(x), w1, b1, w2, b2


@custom_op("mmvan::depthwise_gelu", mutates_args=())
def depthwise_gelu(x: Tensor, weight: Tensor, bias: Tensor, backend: str) -> Tensor:
    """Exact GELU of a depthwise convolution that keeps the size.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last, else it is copied.
        weight: Shape (C, 1, K, K), K odd.
        bias: Shape (C,).
        backend: Whose kernels compute it.

    Returns:
        Shape (N, C, H, W), with the type and layout of x.

    Raises:
        ModelError: The kernels cannot compute this.
    """
    _check(backend, "depthwise_gelu", x, weight, bias)
    return _launch(backend).gelu(x, weight, bias)


@depthwise_gelu.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return _empty_map(x)


@custom_op("mmvan::depthwise_gelu_backward", mutates_args=())
def depthwise_gelu_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`depthwise_gelu` for its three tensors, of their shapes and types."""
    return _launch(backend).gelu_backward(grad, x, weight, bias)


@depthwise_gelu_backward.register_fake
def _(
    _grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_map(x), torch.empty_like(weight), torch.empty_like(bias)


def _launch(backend: str) -> Any:
    return importlib.import_module(f"{KERNELS[backend]}.launch")


def _check(backend: str, op: str, x: Tensor, *parameters: Tensor) -> None:
    support = importlib.import_module(f"{KERNELS[backend]}.support")
    fault = next(support.faults(x, *parameters), None)
    if fault:
        raise ModelError(f"{op}: backend {backend!r} {fault}. Use backend 'torch'.")


def _empty_map(x: Tensor) -> Tensor:
    """A map as the kernels make it: in the layout of x, contiguous if it has none."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty_like(x.contiguous(memory_format=layout))


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    ctx.save_for_backward(*tensors)
    ctx.rest = inputs[len(tensors) :]


def _pair_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        dilation = ctx.rest[0]
        return *_differentiable(partial(_plain_pair, dilation=dilation), ctx, grad), None, None
    return *depthwise_pair_backward(grad, *ctx.saved_tensors, *ctx.rest), None, None


def _gelu_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        return *_differentiable(_plain_gelu, ctx, grad), None
    return *depthwise_gelu_backward(grad, *ctx.saved_tensors, *ctx.rest), None


def _differentiable(
    plain: Callable[..., Tensor], ctx: Any, grad: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients as a graph, so that they have gradients in turn."""
    inputs = ctx.saved_tensors
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(torch.autograd.grad(plain(*inputs), wanted, grad, create_graph=True))
    return tuple(next(found) if tensor.requires_grad else None for tensor in inputs)


def _plain_pair(
    x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, bias_2: Tensor, dilation: int
) -> Tensor:
    return _plain_conv(_plain_conv(x, weight_1, bias_1, 1), weight_2, bias_2, dilation)


def _plain_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(_plain_conv(x, weight, bias, 1))


def _plain_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, bias, 1, padding, dilation, x.shape[1])


depthwise_pair.register_autograd(_pair_gradients, setup_context=_keep_inputs)
depthwise_gelu.register_autograd(_gelu_gradients, setup_context=_keep_inputs)
