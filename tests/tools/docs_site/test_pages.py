"""What the site is made of: which files, and what becomes of them."""

from pathlib import Path

import pytest
from docs_site.pages import ROOT, drop_roles, expand_names, reachable, source_page


def test_the_files_are_those_that_the_pages_lead_to(tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("# Not of the repository\n")
    root = tmp_path / "repository"
    files = {
        "README.md": "[a](docs/a.md#there) [b](https://example.org) [c](../outside.md) [d](docs)",
        "docs/a.md": "![image](demo/a.jpg) [back](../README.md) [config](../configs/c.py) [no](no)",
        "docs/b.md": "Nobody leads here.",
        "docs/demo/a.jpg": "",
        "configs/c.py": "x = names[0](b.md)",
        "configs/b.md": "Only what looks like a link leads here.",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert reachable(root) == ["README.md", "docs/a.md", "docs/demo/a.jpg", "configs/c.py"]


def test_no_page_and_no_published_config_is_left_out() -> None:
    found = reachable(ROOT)
    assert {page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/*.md")} <= set(found)
    assert len([name for name in found if name.startswith("configs/")]) > 50


def test_a_source_file_is_a_page_that_the_search_leaves_out() -> None:
    page = source_page("configs/a/b.py", 'x = 1\n"""\n```\n"""\n')
    assert page.startswith("---\nsearch:\n  exclude: true\n---\n\n# b.py\n\n`configs/a/b.py`\n\n")
    assert page.endswith('````python\nx = 1\n"""\n```\n"""\n````\n')  # Longer than its own.


@pytest.mark.parametrize(
    ("path", "language"), (("LICENSE", "text"), ("CITATION.cff", "yaml"), ("a.toml", "toml"))
)
def test_languages(path: str, language: str) -> None:
    assert f"\n```{language}\ntext\n```\n" in source_page(path, "text\n")


def test_headings_of_names_become_directives() -> None:
    text = "## Group\n\n### `mmvan.f`\n\nWhat it\ndoes.\n\n[f.py](f.py)\n\n### Other\n\nText\n"
    assert expand_names(text) == "## Group\n\n::: mmvan.f\n\n[f.py](f.py)\n\n### Other\n\nText\n"


def test_roles_are_dropped_where_they_mark_a_name() -> None:
    html = "see :class:<code>mmvan.VAN</code>, <code>:class:</code> and :ref:<code>x</code>"
    assert drop_roles(html) == html.replace(":class:<code>m", "<code>m")
