import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from env_setup.headers import DEFINES, is_gcc, precompile
from env_setup.machine import Torch
from env_setup.shell import Shell

FLAGS = "-O2 -g0 -std=c++17"
needs_gcc = pytest.mark.skipif(not is_gcc(["c++"]), reason="c++ is not GCC")


@pytest.fixture
def torch_with_header(tmp_path: Path, cpu_torch: Torch, monkeypatch: pytest.MonkeyPatch) -> Torch:
    """A torch whose headers are one line."""
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "include" / "torch").mkdir(parents=True)
    (tmp_path / "include" / "torch" / "types.h").write_text("inline int answer() { return 42; }\n")
    return replace(cpu_torch, include=str(tmp_path / "include"))


def compile_with(folder: Path, flags: str) -> str:
    """Compiles a file that needs the header; returns the list of the headers that were read."""
    (folder / "use.cpp").write_text("int main() { return answer(); }\n")
    defined = (*DEFINES, "-DMMCV_WITH_CUDA")
    command = ["c++", "-H", *flags.split(), "-fPIC", *defined, f"-I{folder}/include"]
    result = subprocess.run(
        [*command, "-c", "use.cpp"], cwd=folder, capture_output=True, text=True, check=True
    )
    return result.stderr


@needs_gcc
def test_the_headers_are_used_precompiled(
    shell: Shell, torch_with_header: Torch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use = precompile(shell, torch_with_header, FLAGS, tmp_path)
    assert use == f"-include {tmp_path}/torch_types.h"
    assert "torch's headers are precompiled" in capsys.readouterr().out
    assert f"! {tmp_path}/torch_types.h.gch" in compile_with(tmp_path, f"{FLAGS} {use}")


@needs_gcc
def test_other_options_read_the_headers_as_text(
    shell: Shell, torch_with_header: Torch, tmp_path: Path
) -> None:
    use = precompile(shell, torch_with_header, FLAGS, tmp_path)
    read = compile_with(tmp_path, f"-O2 -g0 -std=c++20 {use}")
    assert f"! {tmp_path}/torch_types.h.gch" not in read
    assert "include/torch/types.h" in read


@needs_gcc
def test_an_interrupted_build_keeps_the_headers(
    shell: Shell, torch_with_header: Torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = precompile(shell, torch_with_header, FLAGS, tmp_path)
    monkeypatch.setattr(shell, "run", lambda *arguments: pytest.fail("compiled again"))
    assert precompile(shell, torch_with_header, FLAGS, tmp_path) == use


@needs_gcc
def test_without_the_headers_nothing_is_precompiled(
    shell: Shell, cpu_torch: Torch, tmp_path: Path
) -> None:
    torch = replace(cpu_torch, include=str(tmp_path))
    assert precompile(shell, torch, FLAGS, tmp_path) == ""
    assert not (tmp_path / "torch_types.h.gch").exists()


def test_other_compilers_precompile_nothing(
    shell: Shell, torch_with_header: Torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clang = tmp_path / "clang++"
    clang.write_text("#!/bin/sh\necho clang version 19.1.7\n")
    clang.chmod(0o755)
    monkeypatch.setenv("CXX", str(clang))
    assert precompile(shell, torch_with_header, FLAGS, tmp_path) == ""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert precompile(shell, torch_with_header, FLAGS, tmp_path) == ""
    assert shutil.which("no-such-compiler") is None
