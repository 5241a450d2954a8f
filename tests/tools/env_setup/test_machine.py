import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from env_setup import machine
from env_setup.machine import (
    Torch,
    cuda_archs,
    find_nvcc,
    free_memory,
    max_jobs,
    probe_torch,
    require_compilers,
    require_disk,
    supported_pythons,
)
from env_setup.shell import SetupError, Shell


@pytest.fixture(autouse=True)
def plain_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCH_CUDA_ARCH_LIST", "CUDA_HOME", "CUDA_PATH", "CXX"):
        monkeypatch.delenv(name, raising=False)


def make_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_probe_reads_the_real_torch(shell: Shell) -> None:
    import torch

    found = probe_torch(shell)
    assert found.version == torch.__version__
    assert found.release == version("torch")
    assert found.cuda == torch.version.cuda
    assert len(found.gpus) == torch.cuda.device_count()


def test_probe_reads_gpus(shell: Shell, cuda_torch: Torch, monkeypatch: pytest.MonkeyPatch) -> None:
    output = "a warning\n" + json.dumps(cuda_torch.__dict__) + "\n"
    monkeypatch.setattr(shell, "run", lambda *arguments: output)
    assert probe_torch(shell) == cuda_torch


def test_archs_are_those_of_the_gpus_here(cuda_torch: Torch) -> None:
    assert cuda_archs(cuda_torch) == "8.0;9.0"


def test_archs_without_a_gpu_are_all_that_torch_knows(cuda_torch: Torch) -> None:
    assert cuda_archs(replace(cuda_torch, gpus=[])) == "8.0;9.0;12.0"


def test_archs_can_be_given(cuda_torch: Torch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "7.5")
    assert cuda_archs(cuda_torch) == "7.5"


def test_nvcc_of_cuda_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = make_program(tmp_path / "cuda" / "bin" / "nvcc")
    other = make_program(tmp_path / "other" / "nvcc")
    monkeypatch.setenv("PATH", str(other.parent))
    assert find_nvcc() == str(other)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    assert find_nvcc() == str(chosen)


def test_missing_compilers_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_nvcc", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="build-essential"):
        require_compilers(None)
    make_program(tmp_path / "g++")
    with pytest.raises(SetupError, match=r"nvcc.*toolkit 13\.0.*--ops cpu"):
        require_compilers("13.0")
    assert require_compilers(None) is None


@pytest.mark.parametrize(("release", "fits"), (("13.1", True), ("13.0", True), ("12.8", False)))
def test_nvcc_is_of_torchs_cuda(
    release: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_compiler", lambda: True)
    nvcc = make_program(tmp_path / "cuda" / "bin" / "nvcc")
    nvcc.write_text(f"#!/bin/sh\necho Cuda compilation tools, release {release}, V{release}.48\n")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    if fits:
        assert require_compilers("13.0") is None
        return
    with pytest.raises(SetupError, match=r"CUDA 13\.0 and .*nvcc for CUDA 12\.8.*CUDA_HOME"):
        require_compilers("13.0")


def test_probe_reads_the_standard_that_torchs_headers_ask_for(shell: Shell, tmp_path: Path) -> None:
    fake = tmp_path / "torch" / "include" / "torch" / "csrc" / "api" / "include" / "torch"
    fake.mkdir(parents=True)
    (fake / "all.h").write_text("#if !defined(_MSC_VER) && __cplusplus < 202002L\n#error\n")
    module = "class version: cuda = None\nclass cuda: is_available = staticmethod(lambda: False)\n"
    (tmp_path / "torch" / "__init__.py").write_text(f"__version__ = '2.14.1'\n{module}")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{machine.PROBE}"
    output = shell.run("probe", shell.python, "-c", code)
    assert json.loads(output.splitlines()[-1])["cxx"] == 20


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=rf"{tmp_path} has [\d.]+ GiB free.*--venv"):
        require_disk(tmp_path / "missing" / "venv", 1e9)
    assert require_disk(tmp_path / "missing" / "venv", 0) is None


@pytest.mark.parametrize(
    ("cores", "free", "each", "jobs"), ((8, 100.0, 1.5, 8), (8, 4.0, 1.5, 2), (8, 0.2, 1.5, 1))
)
def test_jobs_fit_cores_and_memory(cores: int, free: float, each: float, jobs: int) -> None:
    assert max_jobs(cores, free, each) == jobs


def test_unknown_memory_does_not_limit() -> None:
    assert max_jobs(4, float("inf"), 3.0) == 4
    assert free_memory() > 0


def test_supported_pythons_keep_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ten, eleven, broken = (make_program(tmp_path / f"python3.{minor}") for minor in (10, 11, 12))
    broken.write_text("#!/bin/sh\nexit 127\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert supported_pythons((12, 11, 10)) == [str(eleven), str(ten)]
