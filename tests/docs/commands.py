"""The commands that README.md and docs name: in blocks, and within lines."""

import argparse
import contextlib
import functools
import io
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from env_setup.pins import read_project

from mmvan.cli.main import COMMANDS, make_parser
from mmvan.zoo.catalogue import list_models
from tests.forks import run_python

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(PROJECT.glob("docs/*.md"))]
SHELLS = ("bash", "sh", "console")
ASSIGNMENT = re.compile(r"[A-Z_]+=.*")
# Programs that are not ours: nothing is known about their options.
FOREIGN = (
    *("apt-get", "cd", "chroot", "cp", "debootstrap", "git", "mount", "trtexec", "umount"),
    *(".", "docker", "pip", "pre-commit"),
)
OURS = ("python", "python3", "make", "mim", "mmvan")
# The launchers, what they take before the options of their command, and that command.
LAUNCHERS = {
    "tools/dist_train.sh": (("config", "gpus"), "train"),
    "tools/dist_test.sh": (("config", "checkpoint", "gpus"), "test"),
    "tools/slurm_train.sh": (("partition", "job", "config", "gpus"), "train"),
    "tools/slurm_test.sh": (("partition", "job", "config", "checkpoint", "gpus"), "test"),
}
SECONDS = 300  # What hangs must not hang the suite.
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?:    .*\n)+")
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Args:
        page: Name of the page.
        text: The command as it stands there, in one line.
        words: Its words, without the variables before them.
        variables: What stands before it as ``NAME=value``.
    """

    page: str
    text: str
    words: tuple[str, ...]
    variables: tuple[str, ...]


def commands_in_blocks(page: Path) -> list[Command]:
    """The lines of the page's shell blocks, and those of other blocks that begin with a program."""
    text = page.read_text()
    blocks = [(match[1], match[2]) for match in FENCE.finditer(text)]
    blocks += [("", match[0]) for match in INDENTED.finditer(FENCE.sub("", text))]
    found = []
    for language, block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            command = read_command(page.name, line)
            if command and (language in SHELLS or (not language and is_program(command.words[0]))):
                found.append(command)
    return found


def commands_in_lines(page: Path) -> list[Command]:
    """The commands in backticks within the page's sentences and tables."""
    found = []
    for match in INLINE.finditer(FENCE.sub("", page.read_text())):
        command = read_command(page.name, " ".join(match[1].split()))
        if command and len(command.words) > 1 and is_program(command.words[0]):
            found.append(command)
    return found


def options_in_lines(page: Path) -> list[str]:
    """The options in backticks that stand without a command."""
    spans = (match[1] for match in INLINE.finditer(FENCE.sub("", page.read_text())))
    return [span.split()[0].partition("=")[0] for span in spans if span.startswith("--")]


def read_command(page: str, line: str) -> Command | None:
    """A command line without its comment, or None if there is nothing else."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # an apostrophe in a sentence
        return None
    count = next((i for i, word in enumerate(words) if not ASSIGNMENT.fullmatch(word)), len(words))
    if count == len(words):
        return None
    text = re.sub(r"\s+#.*", "", " ".join(line.split()))
    return Command(page, text, tuple(words[count:]), tuple(words[:count]))


def is_program(word: str) -> bool:
    """Whether a word begins a command."""
    return word in (*OURS, *FOREIGN) or word.startswith(("tools/", ".ci/"))


def faults(command: Command, *, whole: bool) -> list[str]:
    """What the command names and does not exist.

    Args:
        command: A command.
        whole: Whether it is a command to be typed, not one with placeholders.
    """
    program, *arguments = command.words
    if program == "make":
        return list(_make_faults(arguments))
    if program == "pip":
        return list(_pip_faults(arguments))
    if program == "docker":
        files = [arguments[i + 1] for i, word in enumerate(arguments) if word == "-f"]
        return [f"no file {file}" for file in files if not (PROJECT / file).is_file()]
    if program == "mim":
        return [] if list(PROJECT.glob(f"configs/*/{arguments[2]}")) else [f"no {arguments[2]}"]
    if program in FOREIGN or (program == "python" and arguments[0] == "-m" and _foreign(arguments)):
        return []
    name, arguments = resolve(command.words)
    if name == "COMMAND" or name in ("--help", "--version"):
        return []
    if name in COMMANDS:
        return list(_argument_faults(name, arguments, whole))
    if not (PROJECT / name).is_file():
        return [f"no program {name}"]
    unknown = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    return [f"{name} has no {option}" for option in sorted(unknown - _options_of_script(name))]


def resolve(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command of ``mmvan`` that a command line runs, or the script; and its arguments."""
    program, *arguments = words
    if program in LAUNCHERS:
        takes, name = LAUNCHERS[program]
        rest = arguments[len(takes) :]
        given = dict(zip(takes, arguments, strict=False))
        return name, [given[key] for key in ("config", "checkpoint") if key in given] + rest
    if program == "mmvan":
        return arguments[0], arguments[1:]
    if program.startswith("python"):
        if arguments[0] == "-m":
            module = arguments[1]
            if module == "mmvan":
                return arguments[2], arguments[3:]
            return module.removeprefix("mmvan."), arguments[2:]
        program, *arguments = arguments
    match = re.search(r'run_script\("([a-z-]+)"\)', _source(program))
    return (match[1] if match else program), arguments


def _source(program: str) -> str:
    path = PROJECT / program
    return path.read_text() if path.is_file() else ""


def _foreign(arguments: Sequence[str]) -> bool:
    return not arguments[1].startswith("mmvan")


def _argument_faults(name: str, arguments: Sequence[str], whole: bool) -> Iterator[str]:
    parser = make_parser(name, f"mmvan {name}")
    known = option_names(parser)
    for word in arguments:
        option = word.strip("[]").partition("=")[0]
        if option.startswith("--") and option not in known:
            yield f"mmvan {name} has no {option}"
    for word in arguments:
        if word.startswith("configs/") and not (PROJECT / word).is_file():
            yield f"no config {word}"
    if not whole:
        return
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            config = getattr(parser.parse_args(list(arguments)), "config", None) or ""
    except SystemExit as end:
        if end.code:
            yield told.getvalue()
    else:
        if re.fullmatch(r"van_\w+", config) and config not in list_models():
            yield f"no model {config}"


def option_names(parser: argparse.ArgumentParser) -> set[str]:
    """All options of a command and of its sub-commands."""
    names = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names = names.union(*map(option_names, action.choices.values()))
    return names


@functools.cache
def _options_of_script(script: str) -> set[str]:
    """The options that a script names in its help, and in that of its sub-commands."""
    told = _help(script)
    for names in re.findall(r"\{([a-z_,]+)\}", told.partition("\n\n")[0]):
        told += "".join(_help(script, name) for name in names.split(","))
    return set(re.findall(r"--[a-z][a-z-]*", told))


def _help(script: str, *arguments: str) -> str:
    command = (PROJECT / script, *arguments, "--help")
    return run_python(*command, cwd=PROJECT, environment=os.environ, timeout=SECONDS).stdout


def _make_faults(arguments: Sequence[str]) -> Iterator[str]:
    makefile = (PROJECT / "Makefile").read_text()
    for word in arguments:
        name, assigned, _ = word.partition("=")
        if assigned and f"$({name})" not in makefile and f"$(or $({name})" not in makefile:
            yield f"the Makefile has no variable {name}"
        if not assigned and not re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE):
            yield f"the Makefile has no target {name}"


def _pip_faults(arguments: Sequence[str]) -> Iterator[str]:
    extras = read_project(PROJECT / "pyproject.toml")["optional-dependencies"]
    for word in arguments:
        if match := re.fullmatch(r"(?:\.|mmvan)\[([\w,-]+)\]", word):
            yield from (f"no extra {name}" for name in match[1].split(",") if name not in extras)
