"""Which instructions a table was measured with."""

import instructions
import pytest
import torch
from instructions import AVX2, SWITCHES, has_avx512, is_emulated, table_device

from mmvan.errors import ConfigError


def limit(monkeypatch: pytest.MonkeyPatch, capability: str) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)


@pytest.mark.parametrize(
    ("capability", "device", "expected"),
    (
        ("AVX512", "cpu", "cpu"),
        ("AVX2", "cpu", AVX2),
        ("AVX2", "cuda", "cuda"),
        ("DEFAULT", "cpu", "cpu"),
    ),
)
def test_the_device_of_a_table(
    capability: str, device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, capability)
    assert table_device(device) == expected


def test_avx2_is_emulated_where_the_processor_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "AVX2")
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    assert is_emulated("cpu") is has_avx512()
    assert not is_emulated("cuda")
    limit(monkeypatch, "AVX512")
    assert not is_emulated("cpu")


@pytest.mark.skipif(not has_avx512(), reason="nothing is limited on this processor")
def test_one_switch_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "AVX2")
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    with pytest.raises(ConfigError, match=r"ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=, "):
        instructions.is_emulated("cpu")
