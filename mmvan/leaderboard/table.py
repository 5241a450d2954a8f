"""Tables of text as aligned columns, CSV and Markdown."""

import csv
import io
from collections.abc import Sequence

Table = Sequence[Sequence[str]]  # The header, then the rows, all of one length.


def to_text(table: Table) -> str:
    """Columns aligned with spaces."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def to_csv(table: Table) -> str:
    """Comma-separated values, with Unix line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """A Markdown table."""
    header, *rows = ([cell.replace("|", r"\|") for cell in row] for row in table)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
