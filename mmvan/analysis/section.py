"""What an analysis finds: a table, figures, and the words that explain them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mmvan.visualization.figures import save

_SHOWN = 40  # Rows on the screen; the CSV has all.


@dataclass
class Section:
    """One part of an analysis.

    Args:
        name: What its files are called.
        title: For the reader.
        text: How the numbers are defined.
        columns: Of the table.
        rows: Of the table: numbers and words.
        figures: Captions and figures.
        full: Columns and rows of the CSV, where the table is a summary of them.
    """

    name: str
    title: str
    text: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = field(default_factory=list)
    figures: list[tuple[str, Figure]] = field(default_factory=list)
    full: tuple[Sequence[str], Sequence[Sequence[Any]]] | None = None

    def write(self, folder: Path) -> list[Path]:
        """Write the table as ``<name>.csv`` and the figures as ``<name>[_<n>].png``.

        Returns:
            list[Path]: The files.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        if self.columns:
            written.append(folder / f"{self.name}.csv")
            with written[-1].open("w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                columns, rows = self.full or (self.columns, self.rows)
                table.writerow(columns)
                table.writerows(rows)
        for i, (_, figure) in enumerate(self.figures, start=1):
            written.append(folder / (f"{self.name}.png" if i == 1 else f"{self.name}_{i}.png"))
            save(figure, written[-1])
        return written

    def as_text(self) -> str:
        """The title, the words and the first rows of the table."""
        lines = [self.title, self.text]
        if self.columns:
            table = [list(self.columns), *([show(x) for x in row] for row in self.rows[:_SHOWN])]
            widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
            pairs = [zip(row, widths, strict=True) for row in table]
            lines += ["  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in pairs]
            if len(self.rows) > _SHOWN:
                lines.append(f"... {len(self.rows) - _SHOWN} more rows in {self.name}.csv")
        return "\n".join(lines)


def show(value: Any) -> str:
    """A cell for a reader: four digits of a fraction."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
