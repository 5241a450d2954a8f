"""MMEngine formats a config anew each time that it says or saves it: here, each text once."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

# Texts of some ten kilobytes.
_TEXTS = 64


def remembered(format_code: Callable[..., Any]) -> Callable[..., Any]:
    """yapf's ``FormatCode``, which depends on nothing but its arguments, with a memory.

    A run asks for the text of its config when it begins, and again for every checkpoint; that took
    a third of a short run's time.
    """

    @lru_cache(_TEXTS)
    def ask(text: str, options: tuple[tuple[str, Any], ...]) -> Any:
        given = {name: dict(value) if name == "style_config" else value for name, value in options}
        return format_code(text, **given)

    def formatted(text: str, style_config: dict[str, Any], **options: Any) -> Any:
        style = tuple(sorted(style_config.items()))
        return ask(text, (("style_config", style), *sorted(options.items())))

    return formatted
