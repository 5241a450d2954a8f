"""Python text of settings, as a person would write it and as ``ruff format`` leaves it."""

from __future__ import annotations

import keyword
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = ["WIDTH", "Code", "assignment", "comment", "number", "quoted"]

WIDTH = 100
_INDENT = 4
# Below it, numbers are written with a power of ten.
_SMALL = 1e-3


@dataclass(frozen=True)
class Code:
    """An expression that is written as it is, such as the name of a variable.

    Args:
        text: The expression; a comprehension in brackets may be broken behind the first of them.
    """

    text: str


def assignment(name: str, value: Any) -> str:
    """A variable with its value: on one line if it fits, else with one part on each line.

    A long list of words or numbers, or of colours, is filled like text instead: one on each line
    would hide what else the file says.

    Args:
        name: Its name.
        value: Dictionaries, lists, tuples, numbers, texts and :class:`Code`.
    """
    if _width(f"{name} = {_flat(value)}") > WIDTH and _is_plain_list(value):
        return f"# fmt: off\n{_filled(name, value)}\n# fmt: on"
    return "\n".join(_lines(f"{name} = ", value, 0, ""))


def comment(text: str) -> str:
    """A comment in lines that fit."""
    return textwrap.fill(
        text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def number(value: float) -> str:
    """A number as one writes it: ``1e-5`` instead of ``1e-05``, ``1e-4`` instead of ``0.0001``."""
    if not 0 < abs(value) < _SMALL:
        return repr(value).replace("e+", "e")
    mantissa, _, power = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return f"{mantissa}e{int(power)}"


def quoted(text: str) -> str:
    """A text in double quotes, or in single ones where these need fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = {quote: f"\\{quote}", "\\": "\\\\"}
    parts = (escaped.get(c) or (c if c.isprintable() else repr(c)[1:-1]) for c in text)
    return f"{quote}{''.join(parts)}{quote}"


def _lines(head: str, value: Any, indent: int, tail: str) -> Iterable[str]:
    space = " " * indent
    flat = f"{space}{head}{_flat(value)}{tail}"
    opening, parts, closing = _parts(value)
    if _width(flat) <= WIDTH or not parts:
        return [flat]
    lines = [f"{space}{head}{opening}"]
    for name, part, comma in parts:
        lines += _lines(name, part, indent + _INDENT, comma)
    return [*lines, f"{space}{closing}{tail}"]


def _parts(value: Any) -> tuple[str, list[tuple[str, Any, str]], str]:
    """What opens a value, its parts with what stands before and behind them, and what closes it."""
    if isinstance(value, Mapping):
        if _are_names(value):
            return "dict(", [(f"{key}=", part, ",") for key, part in value.items()], ")"
        return "{", [(f"{_flat(key)}: ", part, ",") for key, part in value.items()], "}"
    if isinstance(value, (list, tuple)):
        opening, closing = "[]" if isinstance(value, list) else "()"
        return opening, [("", part, ",") for part in value], closing
    if isinstance(value, Code) and value.text.startswith("["):
        return "[", [("", Code(value.text[1:-1]), "")], "]"
    return "", [], ""


def _flat(value: Any) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return number(value)
    opening, parts, closing = _parts(value)
    if not opening:
        return repr(value)
    inner = ", ".join(f"{name}{_flat(part)}" for name, part, _ in parts)
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{opening}{inner}{comma}{closing}"


def _are_names(keys: Iterable[Any]) -> bool:
    return all(isinstance(k, str) and k.isidentifier() and not keyword.iskeyword(k) for k in keys)


def _is_plain_list(value: Any) -> bool:
    """Whether it holds nothing but words and numbers, or colours."""
    if not isinstance(value, (list, tuple)):
        return False
    colours = all(isinstance(part, (list, tuple)) for part in value)
    parts = [number for part in value for number in part] if colours else value
    return all(isinstance(part, (str, int, float)) for part in parts)


def _filled(name: str, value: Sequence[Any]) -> str:
    opening, closing = "[]" if isinstance(value, list) else "()"
    lines = [""]
    for part in map(_flat, value):
        if lines[-1] and _width(f"{lines[-1]} {part},") > WIDTH - _INDENT:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{part},"
    inner = "\n".join(f"{' ' * _INDENT}{line}" for line in lines)
    return f"{name} = {opening}\n{inner}\n{closing}"


def _width(text: str) -> int:
    """Columns: letters of East Asia take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
