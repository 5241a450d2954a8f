"""The command ``mmvan``: its list of commands, their one style, and their scripts."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmvan.cli.main import COMMANDS, main, make_main_parser, make_parser
from mmvan.engine.errors import USER_ERROR_STATUS
from mmvan.version import __version__
from tests.forks import forked_python

ROOT = Path(__file__).parents[2]
SCRIPT = re.compile(r'run_script\("([a-z-]+)"\)')
# Commands that have no script in tools, but are modules that `python -m` runs.
MODULES = ("leaderboard", "tune", "doctor", "completion")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its sub-commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from parsers(sub)


def status_of(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def scripts() -> dict[str, str]:
    """The scripts in ``tools`` that are commands, and their names."""
    found = {path.name: SCRIPT.search(path.read_text()) for path in (ROOT / "tools").glob("*.py")}
    return {name: match[1] for name, match in found.items() if match}


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"usage: mmvan {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_one_style(name: str) -> None:
    """Descriptions are sentences; every argument is explained, and not by a sentence."""
    for parser in parsers(make_parser(name, f"mmvan {name}")):
        assert re.fullmatch(r"[A-Z].*\.", parser.description or "", re.DOTALL), parser.prog
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                continue
            told = (parser.prog, action.dest, action.help)
            assert action.help, told
            assert not action.help.endswith("."), told


def test_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    told = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert re.search(rf"^    {name}\s+{re.escape(entry.summary)}$", told, re.MULTILINE)


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of() == USER_ERROR_STATUS
    assert "  train " in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"mmvan {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (("trian",), "error: mmvan trian: no such command. Did you mean train? Choose from train,"),
        (("xyz",), "error: mmvan xyz: no such command. Choose from train, test, infer,"),
        (("--wrong",), "mmvan: error: unrecognized arguments: --wrong"),
        (("train",), "mmvan train: error: the following arguments are required: config"),
        (("train", "a.py", "--wrong"), "mmvan train: error: unrecognized arguments: --wrong"),
        (("train", "none.py"), "error: config none.py does not exist"),
    ),
)
def test_what_cannot_be(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == USER_ERROR_STATUS
    assert message in capsys.readouterr().err


def test_every_command_has_a_script_or_is_a_module() -> None:
    assert sorted([*scripts().values(), *MODULES]) == sorted(COMMANDS)


def test_a_script_and_its_command_are_the_same() -> None:
    """But for the name of the program, which the usage is indented by."""
    ask = (("tools/train.py",), ("-m", "mmvan", "train"))
    helps = []
    for program in ask:
        command = [forked_python(), *program, "--help"]
        environment = {"PYTHONPATH": str(ROOT), "COLUMNS": "1000"}
        helps.append(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))
    script, command_line = helps
    assert script.startswith("usage: train.py [-h] ")
    assert script.replace("usage: train.py", "usage: mmvan train") == command_line
    assert "--accumulate" in script


def test_the_list_needs_no_framework() -> None:
    """A wrong installation can still be asked what there is, and examined by the doctor."""
    code = "import sys; sys.modules.update(torch=None, mmengine=None, numpy=None)\n"
    code += "from mmvan.cli.main import main; main(['doctor', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: mmvan doctor")


def test_the_complete_parser_has_all_options() -> None:
    found = {each.prog: each for each in parsers(make_main_parser(complete=True))}
    assert {f"mmvan {name}" for name in COMMANDS} <= set(found)
    assert "--accumulate" in found["mmvan train"]._option_string_actions
    assert "--sections" in found["mmvan leaderboard audit"]._option_string_actions
