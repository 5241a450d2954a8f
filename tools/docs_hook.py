"""What MkDocs calls while it builds the site (`hooks` in `mkdocs.yml`).

The site keeps the folders of the repository, so that each link means in it what it means in the
plain files; and it has no more files than those that the README leads to.
"""

from __future__ import annotations

from docs_site.pages import IMAGES, ROOT, drop_roles, expand_names, reachable, source_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

API = "docs/api.md"


class SourceFile(File):
    """A file that is no Markdown, as a page of its own."""

    def is_documentation_page(self) -> bool:
        """Whether it becomes HTML."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replaces the files of `docs`, styles aside, by those that the README leads to."""
    for file in list(files):
        if file.src_dir == config.docs_dir and file.src_uri not in config.extra_css:
            files.remove(file)
    for path in reachable(ROOT):
        files.append(_make_file(path, config))
    return files


def _make_file(path: str, config: MkDocsConfig) -> File:
    source = ROOT / path
    if path.endswith((".md", *IMAGES)):
        return File.generated(config, path, abs_src_path=str(source))
    content = source_page(path, source.read_text(encoding="utf-8"))
    return SourceFile.generated(config, path, content=content)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts the docstrings into the page of the API."""
    return expand_names(markdown) if page.file.src_uri == API else markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Cleans what came from docstrings."""
    return drop_roles(html) if page.file.src_uri == API else html
