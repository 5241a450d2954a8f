"""The process that measures: ``python -m mmvan.tune.child``, with its task on standard input.

It says on standard output that it is ready, and then what was found of each candidate in turn, one
JSON object a line, so that whoever started it knows which one it died of.
"""

import json
import sys
from dataclasses import asdict
from typing import Any

import torch

from mmvan.ops.choice import Choice
from mmvan.tune.measure import Bench, Finding
from mmvan.tune.workload import Workload


def main() -> None:
    """Measure every candidate of the task."""
    task = json.load(sys.stdin)
    torch.set_num_threads(task["threads"])
    bench = Bench(Workload(**task["workload"]))
    _tell({})
    for values in task["candidates"]:
        _tell(asdict(measure(bench, Choice(**values), task["seconds"])))


def measure(bench: Bench, candidate: Choice, seconds: float) -> Finding:
    """Measure a candidate; whatever it raises is what was found."""
    try:
        return bench.measure(candidate, seconds)
    except Exception as error:  # noqa: BLE001 - a kernel can fail in any way, and that is the result
        text = str(error).strip().partition("\n")[0]
        return Finding(0.0, f"raised {type(error).__name__}: {text}")


def _tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
