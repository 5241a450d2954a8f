"""The environment of the documentation; `make docs` itself is a step of CI."""

import re
from pathlib import Path

import make_docs
import pytest
from env_setup.shell import SetupError, Shell

PINS = ("mkdocs==1.0",)


@pytest.fixture(autouse=True)
def any_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite runs on older ones than the site is built with."""
    monkeypatch.setattr(make_docs, "OLDEST", (3, 10))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that the setup would run; none is."""
    called: list[tuple[str, ...]] = []

    def run(shell: Shell, name: str, *command: object, **options: object) -> str:
        called.append(tuple(map(str, command)))
        if name == "venv":
            Path(called[-1][-1]).mkdir(exist_ok=True)
            Path(called[-1][-1], "pyvenv.cfg").touch()
        return ""

    monkeypatch.setattr(Shell, "run", run)
    return called


def test_every_package_is_pinned_exactly() -> None:
    pins = make_docs.find_pins()
    assert [pin for pin in pins if not re.fullmatch(r"[a-z-]+==[\d.]+", pin)] == []
    assert {"mkdocs", "ruff"} <= {pin.partition("==")[0] for pin in pins}


def test_an_environment_is_made_once_for_the_same_pins(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    make_docs.make_environment(tmp_path / "venv", PINS)
    assert [call[-1] for call in calls] == [str(tmp_path / "venv"), "mkdocs==1.0"]
    make_docs.make_environment(tmp_path / "venv", PINS)
    assert len(calls) == 2
    make_docs.make_environment(tmp_path / "venv", ("mkdocs==2.0",))
    assert [call[-1] for call in calls[2:]] == [str(tmp_path / "venv"), "mkdocs==2.0"]


def test_a_setup_that_failed_is_repeated(
    tmp_path: Path, calls: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SetupError("no network")

    with monkeypatch.context() as patched:
        patched.setattr(Shell, "install", fail)
        with pytest.raises(SetupError, match="no network"):
            make_docs.make_environment(tmp_path / "venv", PINS)
    make_docs.make_environment(tmp_path / "venv", PINS)
    assert [call[-1] for call in calls].count("mkdocs==1.0") == 1


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, calls: list[tuple[str, ...]]
) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SetupError, match=r"is no virtual environment: move it away"):
        make_docs.make_environment(tmp_path, PINS)
    assert calls == []


def test_an_old_python_is_named_before_anything_is_made(
    tmp_path: Path, calls: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_docs, "OLDEST", (3, 99))
    with pytest.raises(SetupError, match=r"need 3\.99 or later: .* make docs PYTHON=python3\.99$"):
        make_docs.make_environment(tmp_path / "venv", PINS)
    assert calls == []


@pytest.mark.parametrize("status", (0, 1))
def test_the_build_is_strict_and_its_status_is_told(
    status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/told\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setattr(make_docs, "VENV", tmp_path)
    monkeypatch.setattr(make_docs, "make_environment", lambda *_: None)
    assert make_docs.main([]) == status
    assert (tmp_path / "told").read_text() == "-m mkdocs build --strict\n"
