"""The kernels pass Triton's compiler, which needs no GPU; the interpreter knows another Python."""

import itertools
from pathlib import Path

import pytest
import torch
from triton.runtime.driver import driver

from mmvan.ops.triton import launch
from tests.ops.compiled import Compiled, Machine

LAYOUTS = (torch.contiguous_format, torch.channels_last)
DTYPES = (torch.bfloat16, torch.float16)
KERNELS = ("depthwise_kernel", "pair_kernel", "weight_gradient_kernel")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Compiled]:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = {name: Compiled(getattr(launch, name)) for name in KERNELS}
    for name, kernel in kernels.items():
        monkeypatch.setattr(launch, name, kernel)
    monkeypatch.setattr(driver, "_active", Machine(90))
    return kernels


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "layout"), tuple(zip(DTYPES, LAYOUTS, strict=True)))
def test_the_kernels_of_a_training_step_compile_for_hopper(
    compiled: dict[str, Compiled], dtype: torch.dtype, layout: torch.memory_format
) -> None:
    x = torch.zeros(2, 64, 28, 28, dtype=dtype).to(memory_format=layout)
    parameters = [torch.zeros(s) for s in ((64, 1, 5, 5), (64,), (64, 1, 7, 7), (64,))]
    launch.pair(x, *parameters, 3)
    launch.pair_backward(x, x, *parameters, 3)
    weight, bias = torch.zeros(64, 1, 3, 3), torch.zeros(64)
    launch.gelu(x, weight, bias)
    launch.gelu_backward(x, x, weight, bias)
    programs = {name: kernel.programs for name, kernel in compiled.items()}
    assert {name: len(found) for name, found in programs.items()} == {
        "depthwise_kernel": 6,
        "pair_kernel": 1,
        "weight_gradient_kernel": 3,
    }
    for program in itertools.chain(*programs.values()):
        assert program.asm["cubin"].startswith(b"\x7fELF")
    # The scratch is read by other threads than those that wrote it.
    assembly = programs["pair_kernel"][0].asm["ptx"]
    written, read = assembly.split("bar.sync", 1)
    assert "st.global" in written
    assert "ld.global" in read
