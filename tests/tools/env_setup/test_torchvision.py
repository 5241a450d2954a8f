import base64
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from env_setup import torchvision
from env_setup.machine import Torch
from env_setup.shell import SetupError, Shell
from env_setup.torchvision import LABEL, guard, install_torchvision, repack

REGISTRATIONS = """import torch
import torchvision.extension


@torch.library.register_fake("torchvision::nms")
def meta_nms(dets):
    return dets
"""


def write_wheel(folder: Path) -> None:
    """Writes a wheel with the parts of torchvision's that matter here."""
    info = "torchvision-0.28.0.dist-info"
    files = {
        "torchvision/_C.so": "compiled",
        "torchvision/_meta_registrations.py": REGISTRATIONS,
        "torchvision.libs/libz.a1.so.1": "compiled",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "torchvision-0.28.0-py3-none-any.whl", "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
        file.writestr(f"{info}/RECORD", "".join(map(record, files, files.values())))


def record(name: str, content: str) -> str:
    """Returns a file's line in RECORD, which `wheel unpack` verifies."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=")
    return f"{name},sha256={digest.decode()},{len(content)}\n"


def test_guard_runs_only_with_the_operators() -> None:
    guarded = guard(REGISTRATIONS)
    condition = "if torchvision.extension._has_ops() else lambda function: function)"
    assert f'@(torch.library.register_fake("torchvision::nms") {condition}\n' in guarded
    assert compile(guarded, "guarded", "exec")
    with pytest.raises(SetupError, match="no unconditional registration"):
        guard(guarded)


def test_repacked_wheel_has_no_compiled_file(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "pip", lambda *arguments: write_wheel(tmp_path))
    wheel = repack(shell, "torchvision==0.28.0", (), tmp_path)
    assert wheel.name == f"torchvision-0.28.0+{LABEL}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = file.read(f"torchvision-0.28.0+{LABEL}.dist-info/METADATA").decode()
        registrations = file.read("torchvision/_meta_registrations.py").decode()
    assert sorted(Path(name).name for name in names) == [
        "METADATA",
        "RECORD",
        "WHEEL",
        "_meta_registrations.py",
    ]
    assert f"Version: 0.28.0+{LABEL}\n" in metadata
    assert "_has_ops()" in registrations


def prepare(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, answers: list[str | None]
) -> list[tuple[Any, ...]]:
    """Replaces pip and the check; returns the list that pip's arguments go to."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(shell, "pip", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(shell, "check", lambda code: answers.pop(0))
    monkeypatch.setattr(torchvision, "repack", lambda *arguments: Path("repacked.whl"))
    return calls


def test_a_wheel_that_works_stays(
    shell: Shell, cpu_torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = prepare(shell, monkeypatch, [None])
    install_torchvision(shell, cpu_torch, "torchvision==0.28.0", ())
    assert [call[-1] for call in calls] == ["torchvision==0.28.0"]


def test_beside_a_cpu_torch_it_is_repacked_and_said(
    shell: Shell,
    cpu_torch: Torch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = prepare(shell, monkeypatch, ["nms does not exist", None])
    install_torchvision(shell, cpu_torch, "torchvision==0.28.0", ())
    assert calls[-1][-1] == Path("repacked.whl")
    output = capsys.readouterr().out
    assert "nms does not exist" in output
    assert LABEL in output


def test_beside_a_cuda_torch_nothing_is_repaired(
    shell: Shell, cuda_torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = prepare(shell, monkeypatch, ["undefined symbol"])
    with pytest.raises(SetupError, match=r"2\.13\.0\+cu130: undefined symbol"):
        install_torchvision(shell, cuda_torch, "torchvision==0.28.0", ())
    assert len(calls) == 1


def test_a_repair_that_fails_is_an_error(
    shell: Shell, cpu_torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(shell, monkeypatch, ["nms does not exist", "still broken"])
    with pytest.raises(SetupError, match="repacked torchvision does not work: still broken"):
        install_torchvision(shell, cpu_torch, "torchvision==0.28.0", ())
