"""What the Triton backend refuses, before a kernel runs."""

import importlib.util
import re

import pytest
import torch
from torch import Tensor

from mmvan.errors import ModelError
from mmvan.ops import depthwise_gelu, large_kernel_attention
from mmvan.ops.triton.support import faults


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks alone: no kernel is imported."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def inputs_of(
    channels: int = 4, kernel: int = 3, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    shapes = ((1, channels, 5, 5), (channels, 1, kernel, kernel), (channels,))
    return [torch.zeros(shape, dtype=dtype) for shape in shapes]


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16, torch.float32, torch.float64))
def test_what_can_be_computed(dtype: torch.dtype) -> None:
    assert list(faults(*inputs_of(dtype=dtype))) == []
    x, weight, bias = inputs_of()
    assert list(faults(x.to(dtype), weight, bias)) == []


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    ("inputs", "message"),
    (
        (inputs_of(dtype=torch.int32), r"^computes torch.float16, .* got torch.int32$"),
        (inputs_of(kernel=4), r"^needs kernels of odd size, got 4$"),
        ([*inputs_of()[:2], torch.zeros(3)], r"a bias of shape \(4,\) .* and \(3,\)$"),
        ([inputs_of(8)[0], *inputs_of()[1:]], r"weight of shape \(8, 1, K, K\) .* \(4, 1, 3, 3\)"),
        ([inputs_of()[0][0], *inputs_of()[1:]], r"of shape \(N, C, H, W\), got \(4, 5, 5\)"),
        (
            [torch.empty(1, 4, 1, 1).expand(1, 4, 2**15, 2**15), *inputs_of()[1:]],
            r"^counts to 2147483647 in an image's map, got one of shape \(1, 4, 32768, 32768\)$",
        ),
        (
            [*inputs_of()[:2], torch.zeros(4, device="meta")],
            r"^needs parameters on cpu, got meta$",
        ),
    ),
)
def test_what_cannot(inputs: list[Tensor], message: str) -> None:
    fault = next(faults(*inputs))
    assert re.search(message, fault), fault


def test_a_cpu_without_the_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    x, weight, bias = inputs_of()
    expected = r": backend 'triton' needs a CUDA GPU, or TRITON_INTERPRET=1 .* on cpu. Use backend"
    with pytest.raises(ModelError, match=f"^depthwise_gelu{expected}"):
        depthwise_gelu(x, weight, bias, backend="triton")
    with pytest.raises(ModelError, match=f"^large_kernel_attention{expected}"):
        large_kernel_attention(
            x, weight, bias, weight, bias, torch.zeros(4, 4, 1, 1), bias, backend="triton"
        )


@pytest.mark.usefixtures("interpreted")
def test_a_machine_without_triton_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"needs the package triton, which is not installed. Use"):
        depthwise_gelu(*inputs_of(), backend="triton")
