"""Sections as one HTML file that needs nothing else: images inside, no script, no network."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mmvan.analysis.section import Section, show
from mmvan.version import __version__

_ROWS = 60
_DPI = 110
# Figures have a white ground of their own, so that they are readable in the dark too.
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --ground: #fff; --line: #d0d7de; --soft: #f6f8fa;
  --pale: #59636e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --ground: #0d1117; --line: #30363d; --soft: #161b22; --pale: #9198a1; } }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--ground); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; border-bottom: 1px solid var(--line); }
p, figcaption { color: var(--pale); } nav a { margin-right: 1rem; }
a { color: inherit; } figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
@media (max-width: 40rem) { img { max-width: none; width: 40rem; } }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.875rem; }
th, td { padding: 0.25rem 0.6rem; border: 1px solid var(--line); text-align: left;
  overflow-wrap: normal; }
th { background: var(--soft); } td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


def write_report(title: str, sections: Sequence[Section], out: Path) -> None:
    """Write the report.

    Args:
        title: Above everything.
        sections: What it holds.
        out: The file.
    """
    links = "".join(f'<a href="#{each.name}">{html.escape(each.title)}</a>' for each in sections)
    body = "\n".join(map(_section, sections))
    name = html.escape(title)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body><h1>{name}</h1>\n<nav>{links}</nav>\n{body}\n"
        f"<p>Made by mmvan {__version__}.</p></body></html>\n",
        "utf-8",
    )


def _section(section: Section) -> str:
    figures = "".join(_figure(caption, figure) for caption, figure in section.figures)
    table = _table(section) if section.columns else ""
    return (
        f'<section id="{section.name}"><h2>{html.escape(section.title)}</h2>\n'
        f"<p>{html.escape(section.text)}</p>\n{figures}\n{table}</section>"
    )


def _figure(caption: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    code = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(caption)
    return (
        f'<figure><div class="wide"><img alt="{text}" src="data:image/png;base64,{code}"></div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _table(section: Section) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in section.columns)
    rows = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>\n" for row in section.rows[:_ROWS])
    rest = len(section.rows) - _ROWS
    more = f"<p>{rest} more rows are in {section.name}.csv.</p>" if rest > 0 else ""
    return f'<div class="wide"><table><tr>{head}</tr>\n{rows}</table></div>{more}'


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, (int, float)) else ""
    return f"<td{kind}>{html.escape(show(value))}</td>"
