"""The Triton operators as PyTorch knows them: shapes for tracing, and gradients.

A forward pass keeps its inputs and nothing else; the backward pass computes what was in between
again. There is no gradient of the gradients: asking for one raises PyTorch's error that names the
``_backward`` operator, which has no autograd formula.

Weights and biases may be of a wider type than the map: under autocast they stay float32, and so
do their gradients.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from mmvan.ops.triton.support import check_support

# `launch` imports Triton, so it is imported when the first kernel runs: mmvan works without it.


@custom_op("mmvan::depthwise_pair", mutates_args=())
def depthwise_pair(
    x: Tensor, weight_1: Tensor, bias_1: Tensor, weight_2: Tensor, bias_2: Tensor, dilation: int
) -> Tensor:
    """Two depthwise convolutions in a row that keep the size, the second one dilated.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last, else it is copied.
        weight_1: Shape (C, 1, K, K), K odd.
        bias_1: Shape (C,).
        weight_2: As ``weight_1``, with its own K.
        bias_2: Shape (C,).
        dilation: Of the second one.

    Returns:
        Shape (N, C, H, W), with the type and layout of x.

    Raises:
        ModelError: The kernels cannot compute this.
    """
    check_support("large_kernel_attention", x, (weight_1, bias_1), (weight_2, bias_2))
    from mmvan.ops.triton import launch

    return launch.convolve_twice(x, weight_1, bias_1, weight_2, bias_2, dilation)


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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of :func:`depthwise_pair` for its five tensors, of their shapes and types."""
    from mmvan.ops.triton import launch

    between = launch.convolve(x, weight_1, bias_1, 1)
    of_second = launch.parameter_gradients(between, grad, weight_2, bias_2, dilation)
    del between
    grad = launch.input_gradient(launch.like(grad, launch.dense(x)), weight_2, dilation)
    of_first = launch.parameter_gradients(x, grad, weight_1, bias_1, 1)
    return launch.input_gradient(grad, weight_1, 1), *of_first, *of_second


@depthwise_pair_backward.register_fake
def _(
    _grad: Tensor,
    x: Tensor,
    weight_1: Tensor,
    bias_1: Tensor,
    weight_2: Tensor,
    bias_2: Tensor,
    _dilation: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    parameters = (weight_1, bias_1, weight_2, bias_2)
    w1, b1, w2, b2 = (torch.empty_like(parameter) for parameter in parameters)
    return _empty_map(x), w1, b1, w2, b2


@custom_op("mmvan::depthwise_gelu", mutates_args=())
def depthwise_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Exact GELU of a depthwise convolution that keeps the size.

    Args:
        x: Shape (N, C, H, W), contiguous or channels_last, else it is copied.
        weight: Shape (C, 1, K, K), K odd.
        bias: Shape (C,).

    Returns:
        Shape (N, C, H, W), with the type and layout of x.

    Raises:
        ModelError: The kernels cannot compute this.
    """
    check_support("depthwise_gelu", x, (weight, bias))
    from mmvan.ops.triton import launch

    return launch.convolve_gelu(x, weight, bias)


@depthwise_gelu.register_fake
def _(x: Tensor, *_: Any) -> Tensor:
    return _empty_map(x)


@custom_op("mmvan::depthwise_gelu_backward", mutates_args=())
def depthwise_gelu_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of :func:`depthwise_gelu` for its three tensors, of their shapes and types."""
    from mmvan.ops.triton import launch

    grad = launch.gelu_gradient(grad, x, weight, bias)
    of_parameters = launch.parameter_gradients(x, grad, weight, bias, 1)
    return launch.input_gradient(grad, weight, 1), *of_parameters


@depthwise_gelu_backward.register_fake
def _(_grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_map(x), torch.empty_like(weight), torch.empty_like(bias)


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
    return *depthwise_pair_backward(grad, *ctx.saved_tensors, *ctx.rest), None


def _gelu_gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return depthwise_gelu_backward(grad, *ctx.saved_tensors)


depthwise_pair.register_autograd(_pair_gradients, setup_context=_keep_inputs)
depthwise_gelu.register_autograd(_gelu_gradients, setup_context=_keep_inputs)
