"""Write the tables of models into README.md and docs/model_zoo.md: ``tools/model_tables.py``."""

import argparse
from pathlib import Path

from mmvan.engine.errors import run_command
from mmvan.errors import ConfigError
from mmvan.zoo.catalogue import named_models
from mmvan.zoo.tables import overview_table, replace_section, zoo_tables

PROJECT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": overview_table, "docs/model_zoo.md": zoo_tables}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Write the tables of models, which come from the metafiles, into the pages."
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; end with status 1 if a page is not as the metafiles say",
    )
    return parser.parse_args()


def renewed(folder: Path, page: str) -> tuple[str, str]:
    """A page as it is, and as it should be.

    Args:
        folder: The project's folder.
        page: One of :data:`PAGES`.

    Returns:
        tuple[str, str]: The two texts.

    Raises:
        ConfigError: The page is missing, or the marks of its tables are.
    """
    path = folder / page
    if not path.is_file():
        raise ConfigError(f"{path} is not there. Run this command in a clone of the project.")
    text = path.read_text("utf-8")
    tables = PAGES[page](named_models().values(), "../" * page.count("/"))
    try:
        return text, replace_section(text, tables)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def main() -> None:
    """Write or check the pages."""
    check = parse_args().check
    stale = []
    for page in PAGES:
        text, expected = renewed(PROJECT, page)
        if text == expected:
            print(f"{page}: up to date")
        elif check:
            stale.append(page)
        else:
            (PROJECT / page).write_text(expected, "utf-8")
            print(f"{page}: written")
    if stale:
        raise SystemExit(f"{', '.join(stale)}: not as the metafiles say; run tools/model_tables.py")


if __name__ == "__main__":
    run_command(main)
