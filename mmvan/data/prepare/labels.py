"""Looks at the labels of all maps of a dataset together."""

from __future__ import annotations

from mmvan.data.check.label_maps import Labels, label_values, never_occurring, value_problems
from mmvan.data.check.problems import Problem, listed
from mmvan.data.prepare.dataset import Options, files_of

__all__ = ["occurrence_problems"]


def occurrence_problems(options: Options, folder: str, labels: Labels) -> list[Problem]:
    """Finds labels that cannot be meant, and classes without a pixel.

    Args:
        options: Where the dataset is. Without ``decode`` nothing is looked at; with ``partial`` a
            class may be absent.
        folder: The label maps to train on, relative to the dataset.
        labels: What they may hold.
    """
    where = options.target / folder
    paths = files_of(where) if options.decode else []
    if not paths:
        return []
    values = label_values(paths, options.workers)
    problems = list(value_problems(folder, str(where), labels, values))
    absent = never_occurring(labels, values)
    if problems or not absent or options.partial:
        return problems
    found = f"no pixel of {listed(absent)} in {len(paths)} label maps"
    expected = "every class in some label map to train on: one without a pixel is never learnt"
    fix = "correct the classes, or accept this with --partial"
    return [Problem(folder, str(where), found, expected, fix, tuple(absent))]
