"""The same interruption with MMEngine's own hooks and loops and with mmvan's: what differs.

    python tests/reliability/compare.py

A training is killed in the middle of an epoch, behind an iteration that is not saved, and resumed.
The table names the parts of its last checkpoint that have other bits than without interruption.
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from small_runs import (
    TASKS,
    Run,
    differences,
    final_state,
    make_datasets,
    saved_iterations,
    write_config,
)

_CUT = 8  # Behind the checkpoint at iteration 6, in the middle of an optimizer step.
_PARTS = {
    "state_dict": "weights",
    "ema_state_dict": "averaged weights",
    "optimizer": "optimizer",
    "message_hub": "logged values",
    "param_schedulers": "schedules",
}


def interrupt(task: str, ours: bool, folder: Path, workers: int) -> list[str]:
    """Names of all values that an interruption changed, or what kept the run from being resumed."""
    name = f"{task}_{'mmvan' if ours else 'mmengine'}"
    config = write_config(task, folder / f"{name}.py", folder / "data", workers=workers, ours=ours)
    Run(config, folder / name).start().wait()
    run = Run(config, folder / f"{name}_cut")
    run.cut(_CUT)
    if max(saved_iterations(run.work_dir)) != _CUT - 2:
        raise AssertionError(f"{run.work_dir}: the run was not cut where it should have been")
    try:
        run.start().wait()
    except RuntimeError:
        error = re.findall(r"^(\w*Error): (.{,60})", run.output(), re.MULTILINE)[-1]
        return [f"/the resumed run fails, {': '.join(error)}"]
    return differences(final_state(run.work_dir), final_state(folder / name))


def describe(changed: Sequence[str]) -> str:
    """How many values of which parts differ."""
    parts = Counter(_PARTS.get(name.split("/")[1], name.split("/")[1]) for name in changed)
    return ", ".join(f"{part} ({count})" for part, count in parts.items()) or "nothing"


def main() -> int:
    """Print the table; the status is 1 if mmvan's row is not empty."""
    parser = argparse.ArgumentParser(description="Compare what a kill changes, by whose hooks.")
    parser.add_argument("--workers", type=int, default=2, help="loader processes (default: 2)")
    args = parser.parse_args()
    faults = 0
    print("| task | differs with MMEngine's hooks and loops | with mmvan's |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        make_datasets(Path(name, "data"))
        for task in TASKS:
            theirs, own = (
                interrupt(task, ours, Path(name), args.workers) for ours in (False, True)
            )
            faults += len(own)
            print(f"| {task} | {describe(theirs)} | {describe(own)} |", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
