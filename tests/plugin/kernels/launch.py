"""The kernels, which count their calls."""

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

calls: Counter[str] = Counter()


def pair(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dilation: int) -> Tensor:
    calls["pair"] += 1
    return _conv(_conv(x, w1, b1, 1), w2, b2, dilation)


def pair_backward(
    grad: Tensor, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dilation: int
) -> tuple[Tensor, ...]:
    calls["pair_backward"] += 1
    grad, *second = _conv_backward(grad, _conv(x, w1, b1, 1), w2, dilation)
    return *_conv_backward(grad, x, w1, 1), *second


def gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    calls["gelu"] += 1
    return F.gelu(_conv(x, weight, bias, 1))


def gelu_backward(grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    calls["gelu_backward"] += 1
    grad = torch.ops.aten.gelu_backward(grad, _conv(x, weight, bias, 1))
    return _conv_backward(grad, x, weight, 1)


def _conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, bias, 1, padding, dilation, x.shape[1])


def _conv_backward(grad: Tensor, x: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, ...]:
    padding, channels = dilation * (weight.shape[-1] // 2), x.shape[1]
    sizes = [1, 1], [padding, padding], [dilation, dilation], False, [0, 0], channels
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad, x, weight, [channels], *sizes, [True, True, True]
    )
    return found
