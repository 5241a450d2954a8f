"""The audit: parameters and FLOPs of every config beside every published figure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from mmvan.leaderboard.complexity import Complexity, measure
from mmvan.leaderboard.published import PublishedRow, unit_of
from mmvan.leaderboard.subjects import Subject, subject_of, usual_subject
from mmvan.leaderboard.table import Table

Verdict = Literal[
    "agrees", "differs, known", "DIFFERS", "NOT COUNTED", "no config yet", "not published"
]
FAILURES: tuple[Verdict, ...] = ("DIFFERS", "NOT COUNTED")
AUDITED = {"params": 10**6, "flops": 10**9}  # The figures, and how many make one of their unit.


@dataclass(frozen=True)
class Contradiction:
    """A published figure that other published material contradicts.

    Args:
        ours: What our model has, with the digits that were verified; any other value is a new
            difference.
        reason: Which material says otherwise.
    """

    ours: Decimal
    reason: str


# By section, label and figure.
CONTRADICTIONS: Mapping[tuple[str, str, str], Contradiction] = {
    ("architectures", "b6", "flops"): Contradiction(
        Decimal("38.91"),
        "the paper's ImageNet-22k table prints 38.9 for the same network and input",
    ),
    ("ablations_b0", "b0 without_dw_d_conv", "flops"): Contradiction(
        Decimal("0.849"),
        "0.849 prints as 0.8; rounded to 0.85 first and then once more, it gives the printed 0.9",
    ),
    ("ade20k_upernet", "b5 in22k", "params"): Contradiction(
        Decimal("121.89"),
        "the authors' own config and counting tool give 121.89; their README prints 117",
    ),
    ("ade20k_upernet", "b5 in22k", "flops"): Contradiction(
        Decimal("1205.03"),
        "the authors' own config and counting tool give 1205.03; their README prints 1208",
    ),
}


@dataclass(frozen=True)
class Entry:
    """One figure of the audit.

    Args:
        section: Section of the published results, or empty.
        label: Which row of the section, or empty.
        subject: The model.
        figure: ``params`` or ``flops``.
        published: As printed, in millions or G; None where nothing was.
        ours: The same of our model, unrounded; None where there is no model or no count.
        verdict: What follows.
        note: Why, where that is not plain.
    """

    section: str
    label: str
    subject: Subject
    figure: str
    published: Decimal | None
    ours: Decimal | None
    verdict: Verdict
    note: str = ""


def audit(rows: Iterable[PublishedRow], configs: Mapping[str, Path]) -> list[Entry]:
    """Compare every published parameter and FLOP figure, and count every other config too.

    Args:
        rows: The published rows; those without such figures are passed over.
        configs: Config files by name.

    Returns:
        list[Entry]: The published figures in the order of the rows, then the figures of configs
        about which none was published.
    """

    @cache
    def count(subject: Subject) -> Complexity | None:
        path = configs.get(subject.config)
        return measure(subject.load(path), subject.input_size) if path else None

    published = [
        _compare(row, figure, count(subject_of(row)))
        for row in rows
        for figure in AUDITED
        if figure in row.figures
    ]
    named = {entry.subject.config for entry in published}
    others = [usual_subject(path) for name, path in configs.items() if name not in named]
    return published + [
        Entry("", "", subject, figure, None, _in_unit(count(subject), figure), "not published")
        for subject in others
        for figure in AUDITED
    ]


def agrees(ours: Decimal, published: Decimal) -> bool:
    """Whether a value rounds to a printed one, by the digits that are printed."""
    last_digit = Decimal(1).scaleb(int(published.as_tuple().exponent))
    return abs(ours - published) <= last_digit / 2


def summarise(entries: Sequence[Entry]) -> str:
    """One line with the number of figures of each verdict, those that are 0 included."""
    counts = Counter(entry.verdict for entry in entries)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in get_args(Verdict))


def make_table(entries: Sequence[Entry]) -> Table:
    """The entries with ours rounded to two digits more than the published figure has."""
    header = ("section", "row", "config", "input", "figure", "published", "ours", "difference")
    return [(*header, "verdict"), *map(_line, entries)]


def _compare(row: PublishedRow, figure: str, complexity: Complexity | None) -> Entry:
    published = row.figures[figure]
    ours = _in_unit(complexity, figure)
    verdict, note = _judge((row.section, row.label, figure), published, ours)
    if complexity is None:
        verdict = "no config yet"
    elif ours is None:
        note = complexity.note
    return Entry(row.section, row.label, subject_of(row), figure, published, ours, verdict, note)


def _judge(
    key: tuple[str, str, str], published: Decimal, ours: Decimal | None
) -> tuple[Verdict, str]:
    if ours is None:
        return "NOT COUNTED", ""
    if agrees(ours, published):
        return "agrees", ""
    known = CONTRADICTIONS.get(key)
    if known and agrees(ours, known.ours):
        return "differs, known", known.reason
    return "DIFFERS", ""


def _in_unit(complexity: Complexity | None, figure: str) -> Decimal | None:
    count = getattr(complexity, figure, None)
    return None if count is None else Decimal(count) / AUDITED[figure]


def _line(entry: Entry) -> tuple[str, ...]:
    subject, unit = entry.subject, unit_of(entry.figure)
    printed = Decimal("0.1") if entry.published is None else entry.published
    digits = Decimal(1).scaleb(int(printed.as_tuple().exponent) - 2)
    ours = None if entry.ours is None else entry.ours.quantize(digits)
    difference = None if ours is None or entry.published is None else ours - entry.published
    return (
        entry.section or "-",
        entry.label or "-",
        subject.config,
        "x".join(map(str, subject.input_size)),
        f"{entry.figure} ({unit})",
        "-" if entry.published is None else f"{entry.published}",
        "-" if ours is None else f"{ours}",
        "-" if difference is None else f"{difference:+}",
        f"{entry.verdict}: {entry.note}" if entry.note else entry.verdict,
    )
