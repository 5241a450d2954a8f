"""The page of the API has every public name, where it is, and the first line of its docstring."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.commands import PROJECT

ENTRY = re.compile(
    r"^### `(mmvan[\w.]+)`\n\n(.+)\n\n\[`([\w/.]+)`\]\(\.\./([\w/.]+)\)$", re.MULTILINE
)
PAGE = (PROJECT / "docs" / "api.md").read_text()
ENTRIES = ENTRY.findall(PAGE)


def find(name: str) -> Any:
    """What a dotted name leads to."""
    module, _, rest = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), rest)
    except ModuleNotFoundError:
        return getattr(find(module), rest)


def registered() -> Iterator[tuple[str, str]]:
    """The file and name of each class that configs can name."""
    for file in sorted((PROJECT / "mmvan").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and any(
                ".register_module(" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                yield file.relative_to(PROJECT).as_posix(), node.name


def exported() -> Iterator[Any]:
    """The classes and functions that the packages offer."""
    for file in sorted((PROJECT / "mmvan").rglob("__init__.py")):
        package = importlib.import_module(".".join(file.parent.relative_to(PROJECT).parts))
        for name in getattr(package, "__all__", ()):
            value = getattr(package, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                yield value


def test_every_heading_is_an_entry() -> None:
    assert len(ENTRIES) == PAGE.count("\n### ") > 40


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[0])
def test_the_entry_says_what_the_docstring_says(entry: tuple[str, ...]) -> None:
    name, sentence, shown, file = entry
    value = find(name)
    first = (inspect.getdoc(value) or "").partition("\n")[0]
    assert sentence == re.sub(r":[a-z]+:(?=`)", "", first).replace("``", "`")
    assert shown == file
    assert Path(inspect.getsourcefile(inspect.unwrap(value)) or "") == PROJECT / file


def test_all_that_configs_can_name_is_there() -> None:
    shown = {(file, name.rpartition(".")[2]) for name, _, _, file in ENTRIES}
    found = set(registered())
    assert len(found) > 15
    assert found - shown == set()


def test_all_that_the_packages_offer_is_there() -> None:
    shown = [find(name) for name, *_ in ENTRIES]
    found = list(exported())
    assert len(found) > 15
    assert [value for value in found if value not in shown] == []
