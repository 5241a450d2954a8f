"""Building the C operators: what is kept, and what is said where they cannot be built."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from mmvan.ops.native import library
from mmvan.ops.native.library import BuildError, load_library
from tests.forks import forked_python


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no library loaded yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library, "load_library", load_library.__wrapped__)
    return tmp_path / "mmvan" / "native"


def test_it_is_built_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.load_library()
    (built,) = cache.iterdir()
    monkeypatch.setattr(library, "_compile", lambda *_: pytest.fail("compiled again"))
    assert library.load_library()._name == str(built)


def test_processes_that_build_at_once_all_get_it(cache: Path) -> None:
    code = "from mmvan.ops.native.library import load_library; load_library().depthwise_pair"
    command = [forked_python(), "-c", code]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parents[1])}
    runs = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert len(list(cache.iterdir())) == 1


def test_another_source_is_another_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.load_library()
    changed = tmp_path / "depthwise.c"
    changed.write_text(library.SOURCE.read_text() + "\n/* Changed. */\n")
    monkeypatch.setattr(library, "SOURCE", changed)
    library.load_library()
    assert len(list(cache.iterdir())) == 2


def test_no_compiler_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BuildError, match=r"looked for no-such-compiler \(CC names"):
        library.load_library()
    assert not cache.exists()


def test_a_failing_compiler_is_quoted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'unknown processor' >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(BuildError, match=r"failed:\nunknown processor"):
        library.load_library()
    assert list(cache.iterdir()) == []


def test_a_damaged_file_is_built_again(cache: Path) -> None:
    library.load_library()
    (built,) = cache.iterdir()
    code = "from mmvan.ops.native.library import *; load_library().depthwise_pair"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parents[1])}
    built.unlink()  # Not overwritten: this process has it mapped.
    built.write_bytes(b"no library")
    subprocess.run([forked_python(), "-c", code], env=environment, check=True)
    assert list(cache.iterdir()) == [built]
    assert built.read_bytes().startswith(b"\x7fELF")


def test_a_compiler_may_be_named_with_arguments(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "ccache"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >>"{tmp_path}/called"\nexec "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", f"'{wrapper}' cc")
    assert library.load_library().depthwise_pair
    assert (tmp_path / "called").read_text() == "cc\ncc\n"  # For its version, and to compile.
    monkeypatch.setenv("CC", "gcc 'unfinished")
    with pytest.raises(BuildError, match="CC=gcc 'unfinished is no command line: No closing"):
        library.load_library()


def test_it_is_for_linux(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library.platform, "system", lambda: "Darwin")
    with pytest.raises(BuildError, match="on Linux alone, this is Darwin"):
        library.load_library()
    assert not cache.exists()
