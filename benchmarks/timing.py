"""What the measuring scripts share: interleaved medians and the CSV."""

import csv
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def medians(steps: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each step; the steps take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def write_csv(rows: Sequence[Mapping[str, object]], file: Path) -> None:
    """Write rows that have the same keys."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
