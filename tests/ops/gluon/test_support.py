"""What the backend in Gluon refuses, before a kernel runs."""

import pytest
import torch
import triton

from mmvan.errors import ModelError
from mmvan.ops import depthwise_gelu, large_kernel_attention
from mmvan.ops.gluon.support import faults


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(triton, "__version__", "3.7.1")
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # Lets Triton's own checks pass without a GPU.
    return torch.device("cuda")


class OnGpu(torch.Tensor):
    """A map that says it is on a GPU."""

    device = torch.device("cuda")


def first_fault(dtype: torch.dtype = torch.float32) -> str | None:
    return next(faults(torch.zeros(1, 4, 5, 5, dtype=dtype).as_subclass(OnGpu)), None)


@pytest.mark.usefixtures("ampere")
@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16, torch.float32, torch.float64))
def test_what_can_be_computed(dtype: torch.dtype) -> None:
    assert first_fault(dtype) is None


@pytest.mark.usefixtures("ampere")
def test_what_triton_cannot_compute_gluon_cannot() -> None:
    assert str(first_fault(torch.int32)).startswith("computes torch.float16, ")


@pytest.mark.usefixtures("ampere")
def test_other_gpus_and_versions_are_told_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "__version__", "3.2.0+git35c6c7c6")
    expected = "needs triton 3.7 or newer, for its Gluon, got 3.2.0+git35c6c7c6"
    assert first_fault() == expected
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert first_fault() == "needs a GPU of compute capability 8.0 or higher, got 7.5"
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert first_fault() == "needs an NVIDIA GPU, got one of AMD"


@pytest.mark.parametrize("interpret", ("0", "1"))
def test_a_cpu_is_refused(interpret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Triton would interpret its kernels: Gluon's it cannot."""
    monkeypatch.setenv("TRITON_INTERPRET", interpret)
    x, weight, bias = torch.zeros(1, 4, 5, 5), torch.zeros(4, 1, 3, 3), torch.zeros(4)
    expected = r": backend 'gluon' needs an NVIDIA GPU, got an input on cpu. Use backend 'torch'"
    with pytest.raises(ModelError, match=f"^depthwise_gelu{expected}"):
        depthwise_gelu(x, weight, bias, backend="gluon")
    with pytest.raises(ModelError, match=f"^large_kernel_attention{expected}"):
        large_kernel_attention(
            x, weight, bias, weight, bias, torch.zeros(4, 4, 1, 1), bias, backend="gluon"
        )
