"""Which files of the repository the site shows, and how."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s#]+)")
IMAGES = (".jpg", ".png", ".svg")
LANGUAGES = {".cff": "yaml", ".ipynb": "json", ".py": "python", ".toml": "toml", ".yml": "yaml"}
# A public name in docs/api.md: its heading, and the sentence that readers of the plain file get.
NAME = re.compile(r"^### `([\w.]+)`\n\n(?:.+\n)+", re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code>)")


def reachable(root: Path, start: str = "README.md") -> list[str]:
    """Finds the files that a page leads to, and those that these lead to.

    Args:
        root: The repository.
        start: The page, relative to it.

    Returns:
        Paths relative to the repository, the page first. Links that lead nowhere are left out:
        MkDocs names them.
    """
    found = [start]
    for path in found:  # It grows.
        if not path.endswith(".md"):
            continue
        page = root / path
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if target.is_file() and target.is_relative_to(root):
                name = target.relative_to(root).as_posix()
                found += [name] * (name not in found)
    return found


def source_page(path: str, text: str) -> str:
    """Writes a source file as a page that the search leaves out.

    Args:
        path: Where it is in the repository.
        text: What it holds.
    """
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = LANGUAGES.get(Path(path).suffix, "text")
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {Path(path).name}\n\n`{path}`\n\n"
    return f"{head}{fence}{language}\n{text.rstrip()}\n{fence}\n"


def expand_names(text: str) -> str:
    """Puts the directives of mkdocstrings in the place of the headings of public names."""
    return NAME.sub(r"::: \1\n", text)


def drop_roles(html: str) -> str:
    """Takes Sphinx' roles, which Markdown does not know, off the names in docstrings."""
    return ROLE.sub("", html)
