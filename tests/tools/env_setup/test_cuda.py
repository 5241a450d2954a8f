from dataclasses import replace
from pathlib import Path

import pytest
from env_setup.cuda import LIBRARY_HEADERS, cuda_environment, cuda_home
from env_setup.machine import Torch
from env_setup.shell import SetupError


@pytest.fixture(autouse=True)
def plain_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_HOME", "CUDA_PATH", "CPATH"):
        monkeypatch.delenv(name, raising=False)


def make_toolkit(root: Path, *headers: str) -> Path:
    """Makes a toolkit, and elsewhere a script that leads to its compiler; returns the script."""
    for name in ("cuda_runtime.h", *headers):
        (root / "include").mkdir(parents=True, exist_ok=True)
        (root / "include" / name).touch()
    (root / "bin").mkdir()
    nvcc = root.parent / "local" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text(
        f"#!/bin/sh\necho '#$ _HERE_={root}/bin' >&2\necho '#$ TOP={root}/bin/..' >&2\n"
    )
    nvcc.chmod(0o755)
    return nvcc


def test_the_compiler_tells_its_toolkit(tmp_path: Path) -> None:
    assert cuda_home(str(make_toolkit(tmp_path / "cuda"))) == str(tmp_path / "cuda")


def test_a_toolkit_without_headers_of_its_own_is_where_the_compiler_lies(tmp_path: Path) -> None:
    nvcc = make_toolkit(tmp_path / "cuda")
    (tmp_path / "cuda" / "include" / "cuda_runtime.h").unlink()
    assert cuda_home(str(nvcc)) == str(tmp_path / "local")


def test_the_toolkit_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", "/opt/cuda")
    assert cuda_home(str(make_toolkit(tmp_path / "cuda"))) == "/opt/cuda"


def test_a_whole_toolkit_needs_no_other_headers(tmp_path: Path, cuda_torch: Torch) -> None:
    nvcc = make_toolkit(tmp_path / "cuda", *LIBRARY_HEADERS)
    assert cuda_environment(str(nvcc), cuda_torch) == {"CUDA_HOME": str(tmp_path / "cuda")}


def test_headers_that_the_toolkit_lacks_come_from_torchs_libraries(
    tmp_path: Path,
    cuda_torch: Torch,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nvcc = make_toolkit(tmp_path / "cuda", *LIBRARY_HEADERS[1:])
    folders = [tmp_path / name for name in ("cudnn", "cusparse")]
    for folder in folders:
        folder.mkdir()
    (folders[1] / "cusparse.h").touch()
    monkeypatch.setenv("CPATH", "/mine")
    torch = replace(cuda_torch, cuda_headers=list(map(str, folders)))
    assert cuda_environment(str(nvcc), torch)["CPATH"] == f"/mine:{folders[1]}"
    assert "cuda has no cusparse.h: taken from" in capsys.readouterr().out


def test_headers_that_are_nowhere_are_named(tmp_path: Path, cuda_torch: Torch) -> None:
    nvcc = make_toolkit(tmp_path / "cuda", "cusparse.h")
    with pytest.raises(SetupError, match=r"no cublas_v2\.h, cublasLt\.h, cusolverDn\.h.*--ops cpu"):
        cuda_environment(str(nvcc), cuda_torch)
