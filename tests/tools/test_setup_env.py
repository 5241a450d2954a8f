import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import setup_env
from env_setup import prerequisites
from env_setup.machine import Torch
from env_setup.pins import read_project
from env_setup.shell import SetupError, Shell
from setup_env import ROOT, Options, Setup, parse_options, run_steps, stamp

PROJECT = read_project(ROOT / "pyproject.toml")


@pytest.fixture(autouse=True)
def no_wheelhouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMVAN_WHEELHOUSE", raising=False)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return replace(parse_options(["--venv", str(tmp_path / "venv")]), family="official")


def test_defaults() -> None:
    options = parse_options([])
    assert options.family == ("official" if sys.version_info[:2] <= (3, 12) else "onedl")
    assert options.venv == ROOT / {"official": ".venv", "onedl": ".venv-onedl"}[options.family]
    assert options.extras == ("dev", "mim", "deploy")
    assert options.wheelhouse is None
    assert parse_options(["--family", "onedl"]).venv == ROOT / ".venv-onedl"


def test_wheelhouse_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVAN_WHEELHOUSE", str(tmp_path))
    assert parse_options([]).wheelhouse == tmp_path
    monkeypatch.setenv("MMVAN_WHEELHOUSE", str(tmp_path / "missing"))
    with pytest.raises(SetupError, match=r"missing is not a folder.*MMVAN_WHEELHOUSE"):
        parse_options([])


def test_stamp_changes_with_what_is_installed_only(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = stamp(PROJECT, options)
    assert stamp(PROJECT, options) == current
    assert stamp(PROJECT, replace(options, wheelhouse=tmp_path, reason="told")) == current
    assert stamp(PROJECT, replace(options, family="onedl")) != current
    assert stamp(PROJECT, replace(options, torch="torch==2.11.0")) != current
    pins = {**PROJECT["optional-dependencies"], "build": ["setuptools==81"]}
    assert stamp({**PROJECT, "optional-dependencies": pins}, options) != current
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    assert stamp(PROJECT, options) != current


def test_every_pin_constrains_every_installation(options: Options) -> None:
    setup = Setup(options, PROJECT)
    constraints = setup.shell.constraints
    assert {"numpy<2", "opencv-python==4.11.0.86", "mmcv==2.1.0"} <= set(constraints)
    assert "setuptools>=77.0.3,<82" in constraints
    assert not any(pin.startswith("onedl") for pin in constraints)
    assert "triton==3.7.1" in constraints
    other = Setup(replace(options, torch="torch==2.14.1"), PROJECT)
    assert other.torchvision == "torchvision>=0.29,<0.30"
    assert [pin for pin in other.shell.constraints if pin.startswith("triton")] == ["triton"]


def test_torch_is_held_by_the_version_that_pip_knows(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = Torch("2.13.0+cu130", "2.13.0", "13.0", [], "")
    monkeypatch.setattr(Shell, "install", lambda self, name, *requirements: None)
    monkeypatch.setattr(setup_env, "probe_torch", lambda shell: torch)
    setup = Setup(options, PROJECT)
    setup.install_torch()
    assert setup.shell.constraints[-1] == "torch==2.13.0"


def test_a_failed_step_is_named_and_ends_the_setup(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def fail() -> None:
        raise SetupError("no compiler")

    steps = [
        ("one", lambda: done.append("one")),
        ("two", fail),
        ("three", lambda: done.append("3")),
    ]
    with pytest.raises(SetupError, match=r"step 2/3, two\nno compiler"):
        run_steps(steps)
    assert done == ["one"]
    assert "[1/3] one\n      done in 0.0 s" in capsys.readouterr().out


def test_the_log_of_a_failed_start_is_kept(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SetupError, match=r"log: (\S+venv\.log)") as caught:
        Setup(options, PROJECT).make_venv()
    log = Path(str(caught.value).partition("log: ")[2].partition(",")[0])
    assert log.is_file()
    shutil.rmtree(log.parents[1])


def test_a_folder_that_is_no_environment_is_left_alone(options: Options) -> None:
    options.venv.mkdir()
    (options.venv / "thesis.tex").touch()
    with pytest.raises(SetupError, match=r"venv is in use.*--venv"):
        Setup(options, PROJECT).make_venv()
    assert (options.venv / "thesis.tex").exists()


@pytest.mark.slow
def test_environment_is_made_kept_and_repaired(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = Setup(options, PROJECT)
    setup.make_venv()
    assert setup.shell.check("import pip") is None
    setup.make_venv()
    assert "kept" in capsys.readouterr().out
    (options.venv / "bin" / "python").unlink()
    (options.venv / "bin" / "python").symlink_to("/bin/false")
    setup.make_venv()
    assert "replaced" in capsys.readouterr().out
    assert setup.shell.check("import pip") is None


def run_main(options: Options, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(setup_env, "parse_options", lambda: options)
    return setup_env.main()


def test_what_the_system_lacks_ends_the_setup_before_its_first_step(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_env, "has_wheel", lambda requirement, wheelhouse: False)
    needs = replace(prerequisites.VENV, is_there=lambda: False)
    monkeypatch.setattr(prerequisites, "VENV", needs)
    monkeypatch.setattr(Setup, "steps", lambda self: pytest.fail("a step began"))
    assert run_main(options, monkeypatch) == 1
    assert "missing: Python's venv module" in capsys.readouterr().err


def test_the_makefile_is_told_the_family(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(replace(options, family="onedl", show_family=True), monkeypatch) == 0
    assert capsys.readouterr().out == "onedl\n"


def test_a_second_call_does_nothing(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []

    def work() -> None:
        Shell(options.venv).logs.mkdir(parents=True, exist_ok=True)
        done.append("work")

    monkeypatch.setattr(Setup, "steps", lambda self: [("work", work)])
    assert run_main(options, monkeypatch) == 0
    assert run_main(options, monkeypatch) == 0
    assert done == ["work"]
    assert "is up to date (official family)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after"),
    ((signal.SIG_DFL, signal.default_int_handler), (signal.SIG_IGN, signal.SIG_IGN)),
)
def test_kill_ends_the_setup_as_ctrl_c_does_unless_ignored(
    before: signal.Handlers, after: object
) -> None:
    numbers = (signal.SIGHUP, signal.SIGTERM)
    kept = [signal.signal(number, before) for number in numbers]
    try:
        setup_env.end_as_by_ctrl_c()
        assert [signal.getsignal(number) for number in numbers] == [after, after]
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)


def test_a_failed_setup_is_done_again(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise SetupError("disk full")

    (options.venv / "setup").mkdir(parents=True)
    (options.venv / "setup" / "stamp").write_text("of another day")
    monkeypatch.setattr(Setup, "steps", lambda self: [("work", fail)])
    assert run_main(options, monkeypatch) == 1
    assert "Setup failed: step 1/1, work\ndisk full" in capsys.readouterr().err
    assert not (options.venv / "setup" / "stamp").exists()


def test_command_line_works_without_any_package(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-E", str(ROOT / "tools" / "setup_env.py")]
    arguments = ["--wheelhouse", str(tmp_path / "missing")]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "missing is not a folder" in result.stderr
    assert "Traceback" not in result.stderr
