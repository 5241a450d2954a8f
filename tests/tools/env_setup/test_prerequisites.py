import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from env_setup import prerequisites
from env_setup.prerequisites import (
    COMPILER,
    GIT,
    HEADERS,
    INSTALL,
    LIBRARIES,
    MAKE,
    VENV,
    Need,
    has_compiler,
    has_headers,
    has_libraries,
    has_venv,
    install_command,
    require_system,
)
from env_setup.shell import SetupError

NEEDS = {
    "VENV": VENV,
    "COMPILER": COMPILER,
    "HEADERS": HEADERS,
    "LIBRARIES": LIBRARIES,
    "MAKE": MAKE,
    "GIT": GIT,
}
Lack = Callable[..., None]


@pytest.fixture
def lack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lack:
    """Makes a system that has a package manager and lacks some needs."""

    def make(*names: str, manager: str = "apt-get", root: bool = True) -> None:
        for name, need in NEEDS.items():
            there = name not in names
            values = {**vars(need), "is_there": lambda there=there: there}
            monkeypatch.setattr(prerequisites, name, Need(**values))
        (tmp_path / manager).write_text("#!/bin/sh\n")
        (tmp_path / manager).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(prerequisites, "_is_root", lambda: root)

    return make


def test_a_complete_system_is_passed_in_silence(
    lack: Lack, capsys: pytest.CaptureFixture[str]
) -> None:
    lack()
    require_system(compiles=True)
    assert capsys.readouterr().out == ""


def test_all_that_is_missing_is_named_with_one_command(lack: Lack) -> None:
    lack(*NEEDS)
    minor = sys.version_info[1]
    python, libraries = f"python3.{minor}", "libgl1 libglib2.0-0"
    packages = f"{python}-venv build-essential {python}-dev {libraries} make git"
    with pytest.raises(SetupError) as caught:
        require_system(compiles=True)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    assert lines[1].startswith("missing: a C++ compiler")
    assert lines[-1] == f"to do: apt-get install {packages}"


def test_with_a_ready_wheel_nothing_is_compiled(
    lack: Lack, capsys: pytest.CaptureFixture[str]
) -> None:
    lack("COMPILER", "HEADERS")
    require_system(compiles=False)
    assert capsys.readouterr().out == ""


def test_what_is_only_good_to_have_ends_nothing(
    lack: Lack, capsys: pytest.CaptureFixture[str]
) -> None:
    lack("GIT")
    require_system(compiles=True)
    assert "missing: git" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("manager", "command"),
    (
        ("apt-get", "sudo apt-get install build-essential make"),
        ("dnf", "sudo dnf install gcc-c++ make"),
        ("pacman", "sudo pacman -S base-devel make"),
        ("brew", "brew install gcc make"),
    ),
)
def test_the_command_is_that_of_the_system(manager: str, command: str, lack: Lack) -> None:
    lack(manager=manager, root=False)
    assert install_command([COMPILER, MAKE]) == command


def test_an_unknown_system_is_told_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert len(install_command([MAKE]).split("; or ")) == len(INSTALL)


def test_every_need_has_a_package_for_every_manager() -> None:
    assert all(set(need.packages) == set(INSTALL) for need in NEEDS.values())


def test_this_system_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_venv()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert not has_headers()
    (tmp_path / "Python.h").touch()
    assert has_headers()
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_compiler()
    (tmp_path / "g++").touch(mode=0o755)
    assert has_compiler()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere OpenCV brings its libraries")
def test_the_libraries_of_opencv_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_libraries()
    asked: list[str] = []

    def load(name: str) -> None:
        asked.append(name)
        if name.startswith("libgthread"):
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", load)
    assert not has_libraries()
    assert asked == ["libGL.so.1", "libgthread-2.0.so.0"]
