"""The pair in one pass passes Triton's compiler for Ampere and Hopper, which needs no GPU."""

import importlib
import re
import subprocess
from pathlib import Path

import pytest
import torch
from triton.runtime.driver import driver

from tests.ops.compiled import Compiled, Machine

pytest.importorskip("triton", minversion="3.7", reason="Gluon of triton 3.7 or newer")
launch = importlib.import_module("mmvan.ops.gluon.launch")
knobs = importlib.import_module("triton.knobs")

CONTIGUOUS, CHANNELS_LAST = torch.contiguous_format, torch.channels_last
REGISTERS = 255  # Of a thread; what needs more spills them into memory.
SHARED_BYTES = 99 * 1024  # Of a program, on the GPUs from Ampere on that have the least.


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Compiled:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = Compiled(launch.pair_kernel)
    monkeypatch.setattr(launch, "pair_kernel", kernel)
    return kernel


def resources_of(cubin: bytes, path: Path) -> dict[str, int]:
    """Registers per thread, and bytes of the stack and of local memory, where spills go."""
    path.write_bytes(cubin)
    command = (knobs.nvidia.cuobjdump.path, "--dump-resource-usage", path)
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: int(n) for name, n in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", shown)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "dtype", "layout", "read"),
    (
        (80, torch.bfloat16, CHANNELS_LAST, "v4.b16"),
        (90, torch.float16, CONTIGUOUS, "v4.b16"),
        (90, torch.float32, CHANNELS_LAST, "v4.b32"),
        (80, torch.float64, CONTIGUOUS, "v2.b64"),
    ),
)
def test_the_kernel_compiles_without_spills(
    capability: int,
    dtype: torch.dtype,
    layout: torch.memory_format,
    read: str,
    compiled: Compiled,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(driver, "_active", Machine(capability))
    x = torch.zeros(2, 64, 56, 56, dtype=dtype).to(memory_format=layout)
    launch.pair(x, *(torch.zeros(s) for s in ((64, 1, 5, 5), (64,), (64, 1, 7, 7), (64,))), 3)
    (program,) = compiled.programs
    found = resources_of(program.asm["cubin"], tmp_path / "pair.cubin")
    assert (found["STACK"], found["LOCAL"]) == (0, 0)
    assert found["REG"] <= REGISTERS
    assert program.metadata.shared <= SHARED_BYTES
    # The ring is read by other threads than those that wrote it, several numbers at once.
    accesses = re.findall(r"bar\.sync|st\.shared|ld\.shared\.\w+\.\w+", program.asm["ptx"])
    before = accesses[: accesses.index(f"ld.shared.{read}")]
    assert "st.shared" in before
    assert before[-1] == "bar.sync"
