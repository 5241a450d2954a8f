"""Links between the pages lead to files and headings that are there."""

import re
from pathlib import Path

import pytest

from tests.docs.commands import PAGES, PROJECT

LINK = re.compile(r"\]\(([^)\s]+)\)")
ALL = [*PAGES, PROJECT / "benchmarks" / "README.md"]


def anchors(page: Path) -> set[str]:
    """The names of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links(page: Path) -> None:
    wrong = []
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text()
    linked = set(LINK.findall(readme))
    pages = {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"}
    assert pages - linked == set()


def test_the_readme_fits_on_a_screen_and_a_table() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 100
