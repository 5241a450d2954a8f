import re
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from env_setup import mmcv
from env_setup.machine import Torch
from env_setup.mmcv import (
    MmcvRequest,
    Progress,
    cache_key,
    cache_root,
    choose_device,
    count_cuda_files,
    has_wheel,
    install_mmcv,
    is_working,
    parse_progress,
    ready_wheels,
    store,
)
from env_setup.shell import SetupError, Shell

from mmvan.doctor.families import FAMILIES, find_family, installed_version


def make_wheel(folder: Path, tag: str = "py3-none-any", version: str = "2.1.0") -> Path:
    """Writes the smallest wheel that pip accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"mmcv-{version}-{tag}.whl", f"mmcv-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: mmcv\nVersion: {version}\n"
        )
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def request_(cpu_torch: Torch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MmcvRequest:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return MmcvRequest("mmcv==2.1.0", cpu_torch, "cpu", tmp_path / "house")


def test_cache_key_tells_incompatible_wheels_apart(cpu_torch: Torch, cuda_torch: Torch) -> None:
    keys = [
        cache_key("mmcv==2.1.0", cpu_torch, None),
        cache_key("mmcv==2.2.0", cpu_torch, None),
        cache_key("mmcv==2.1.0", replace(cpu_torch, version="2.12.0+cpu"), None),
        cache_key("mmcv==2.1.0", cuda_torch, None),
        cache_key("mmcv==2.1.0", cuda_torch, "8.0;9.0"),
        cache_key("mmcv==2.1.0", cuda_torch, "9.0"),
        cache_key("mmcv==2.1.0", replace(cuda_torch, cuda="12.8"), "9.0"),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[4].startswith("mmcv-2.1.0-cp3")
    assert keys[4].endswith("-torch2.13.0+cu130-cu130-8.0-9.0")
    assert not any(set(key) & set("/; ") for key in keys)


def test_device_follows_torch_gpu_and_compiler(
    cpu_torch: Torch, cuda_torch: Torch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmcv, "find_nvcc", lambda: None)
    assert choose_device("auto", cpu_torch) == "cpu"
    assert choose_device("auto", cuda_torch) == "cuda"
    assert choose_device("cpu", cuda_torch) == "cpu"
    no_gpu = replace(cuda_torch, gpus=[])
    assert choose_device("auto", no_gpu) == "cpu"
    monkeypatch.setattr(mmcv, "find_nvcc", lambda: "nvcc")
    assert choose_device("auto", no_gpu) == "cuda"
    assert choose_device("auto", cpu_torch) == "cpu"


def test_cuda_operators_need_a_cuda_torch(cpu_torch: Torch) -> None:
    with pytest.raises(SetupError, match=r"--ops cuda.*2\.13\.0\+cpu"):
        choose_device("cuda", cpu_torch)


@pytest.mark.smoke
def test_installed_operators_are_run(shell: Shell, cpu_torch: Torch) -> None:
    name = FAMILIES[find_family()]["mmcv"]
    version = installed_version(name).partition("+")[0]  # A label tells of C++20.
    request = MmcvRequest(f"{name}=={version}", cpu_torch, "cpu", None)
    assert is_working(shell, request) is None


def test_a_labelled_version_is_the_version(
    shell: Shell, request_: MmcvRequest, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "house", version="2.1.0+cxx20")
    found = [wheel.name for _, wheel in ready_wheels(shell, request_, tmp_path / "found")]
    assert found == ["mmcv-2.1.0+cxx20-py3-none-any.whl"]


def test_a_wheel_that_lies_ready_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert not has_wheel("mmcv==2.1.0", None)
    make_wheel(tmp_path / "house", tag="cp27-cp27m-linux_x86_64")
    assert not has_wheel("mmcv==2.1.0", tmp_path / "house")
    make_wheel(cache_root() / "wheels" / "some", tag=f"{tag}-{tag}-linux_x86_64")
    assert has_wheel("mmcv==2.1.0", None)
    assert not has_wheel("onedl-mmcv==2.3.6", None)


def test_another_version_does_not_count_as_installed(shell: Shell, cpu_torch: Torch) -> None:
    name = FAMILIES[find_family()]["mmcv"]
    problem = is_working(shell, MmcvRequest(f"{name}==0.0.1", cpu_torch, "cpu", None))
    assert problem is not None
    assert "is installed" in problem


def test_wheels_are_offered_in_order(
    shell: Shell, request_: MmcvRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "house", tmp_path / "links", request_.cache):
        make_wheel(folder)
    found = [source for source, _ in ready_wheels(shell, request_, tmp_path / "found")]
    assert found == ["wheelhouse", "find-links", "cache"]
    no_house = replace(request_, wheelhouse=None)
    found = [source for source, _ in ready_wheels(shell, no_house, tmp_path / "again")]
    assert found == ["find-links", "cache"]


def test_wheels_of_other_versions_and_platforms_are_not_offered(
    shell: Shell, request_: MmcvRequest, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "house", version="2.2.0")
    make_wheel(tmp_path / "house", tag="cp27-cp27m-win32")
    assert list(ready_wheels(shell, request_, tmp_path / "found")) == []


def test_a_wheel_that_fails_is_left_for_the_next(
    shell: Shell,
    request_: MmcvRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_wheel(tmp_path / "house")
    make_wheel(request_.cache)
    answers = iter(["no module mmcv._ext", None])
    monkeypatch.setattr(mmcv, "is_working", lambda *arguments: "not installed")
    monkeypatch.setattr(mmcv, "try_wheel", lambda *arguments: next(answers))
    install_mmcv(shell, request_)
    output = capsys.readouterr().out
    assert "from the wheelhouse does not serve here: no module mmcv._ext" in output
    assert "from the cache: mmcv-2.1.0" in output


def test_a_build_is_cached_only_if_it_works(
    shell: Shell, request_: MmcvRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["no operators", None])
    monkeypatch.setattr(mmcv, "is_working", lambda *arguments: "not installed")
    monkeypatch.setattr(mmcv, "try_wheel", lambda *arguments: next(answers))
    monkeypatch.setattr(mmcv, "build", lambda shell, request, folder: make_wheel(folder))
    with pytest.raises(SetupError, match=r"just built and does not work: no operators"):
        install_mmcv(shell, request_)
    assert not request_.cache.exists()
    install_mmcv(shell, request_)
    assert [path.name for path in request_.cache.iterdir()] == ["mmcv-2.1.0-py3-none-any.whl"]


@pytest.mark.parametrize("device", ("cpu", "cuda"))
def test_build_settings(
    device: str,
    shell: Shell,
    request_: MmcvRequest,
    cuda_torch: Torch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}

    def pip(name: str, *arguments: object, env: dict[str, str], on_line: object) -> None:
        seen.update(env, arguments=arguments)
        make_wheel(tmp_path)

    monkeypatch.setattr(shell, "pip", pip)
    monkeypatch.setattr(mmcv, "require_compilers", lambda cuda: None)
    monkeypatch.setattr(mmcv, "cuda_environment", lambda nvcc, torch: {"CUDA_HOME": "/opt/cuda"})
    monkeypatch.setattr(mmcv, "prepare_source", lambda *arguments: tmp_path / "mmcv-2.1.0")
    monkeypatch.setattr(mmcv, "named_standard", lambda tree: 17)
    monkeypatch.setattr(
        mmcv, "precompile", lambda shell, torch, flags, folder: f"-include {flags[-10:]}"
    )
    monkeypatch.setenv("MAX_JOBS", "3")
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST", raising=False)
    torch = cuda_torch if device == "cuda" else request_.torch
    wheel = mmcv.build(shell, replace(request_, device=device, torch=torch), tmp_path)
    assert wheel.name == "mmcv-2.1.0-py3-none-any.whl"
    assert {"--no-build-isolation", "--no-cache-dir"} <= set(seen["arguments"])
    assert seen["arguments"][-1] == tmp_path / "mmcv-2.1.0"
    assert seen["MMCV_WITH_OPS"] == "1"
    assert seen["CFLAGS"] == f"{mmcv.compiler_flags()} -include -std=c++17"
    assert seen["MAX_JOBS"] == "3"
    assert seen["FORCE_CUDA"] == ("1" if device == "cuda" else "0")
    assert seen.get("CUDA_HOME") == ("/opt/cuda" if device == "cuda" else None)
    assert seen.get("TORCH_CUDA_ARCH_LIST") == ("8.0;9.0" if device == "cuda" else None)


def test_operators_are_optimised_and_have_no_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CFLAGS", raising=False)
    assert re.search(r" -O[23]\b.* -g0$", f" {mmcv.compiler_flags()}")
    monkeypatch.setattr(mmcv.sysconfig, "get_config_var", lambda name: None)
    assert mmcv.compiler_flags() == "-O2 -g0"
    monkeypatch.setenv("CFLAGS", "-Os")
    assert mmcv.compiler_flags() == "-Os -g0"


def test_two_setups_do_not_build_the_same_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, done = tmp_path / "builds" / "key.lock", []

    def second() -> None:
        with mmcv.alone(lock):
            done.append("second")

    thread = threading.Thread(target=second)
    with mmcv.alone(lock):
        thread.start()
        thread.join(0.5)
        assert done == []
        done.append("first")
    thread.join(10)
    assert done == ["first", "second"]
    assert "another setup compiles the same: waiting for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "progress"),
    (
        ("  [3/143] c++ -MMD -MF nms.o.d\n", (3, 143)),
        ("[143/143] nvcc\n", (143, 143)),
        ("building 'mmcv._ext' extension\n", None),
        ("note: see [1/2]\n", None),
    ),
)
def test_progress_is_read_from_ninja(line: str, progress: tuple[int, int] | None) -> None:
    assert parse_progress(line) == progress


def test_progress_outside_a_terminal_is_sparse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(tmp_path / "build.log", interval=3600)
    for number in range(1, 11):
        progress(f"[{number}/10] c++\n")
    lines = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "build.log") in lines[0]
    assert len(lines) == 2
    assert "compiled 10/10" in lines[1]


def test_the_time_left_weighs_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(mmcv.time, "monotonic", lambda: now)
    progress = Progress(tmp_path / "build.log", cuda_files=2, archs=2, interval=0)
    files = (("a.cpp", 3.0), ("b.cu", 30.0), ("c.cu", 30.0))
    for number, (name, seconds) in enumerate(files, 1):
        now += seconds
        progress(f"[{number}/3] nvcc -c {name} -o x.o\n")
    left = [line.rpartition("about ")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert left == ["1 min 00 s left", "30.0 s left", "0.0 s left"]
    assert mmcv.count_archs("8.0;9.0+PTX") == mmcv.count_archs("8.0 9.0") == 2


def test_cuda_files_that_have_an_object_are_done(tmp_path: Path) -> None:
    folder = "mmcv/ops/csrc/pytorch/cuda"
    for path in (f"{folder}/a.cu", f"{folder}/b.cu", f"build/temp.linux/{folder}/b.cuda.o"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert count_cuda_files(tmp_path) == 1


def test_store_leaves_nothing_else_behind(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "built")
    store(wheel, tmp_path / "cache")
    store(wheel, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [wheel.name]
    assert (tmp_path / "cache" / wheel.name).read_bytes() == wheel.read_bytes()
