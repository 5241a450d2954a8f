"""Kills trainings at random moments until they are done, and compares what they end with.

    python tests/reliability/soak.py --kills 200

A training of each task runs without interruption first. Then it runs again and again, is killed
(SIGKILL, all its processes at once) at random moments, and is started once more with ``--resume``
until it ends. Its last checkpoint must equal the first one in every bit: weights, their average,
optimizer, schedules, all logged losses, and the counters of hooks. And no kill may take away a
checkpoint that was complete before.

For each kill a phase is chosen, since some of them are short, and waited for behind a random number
of iterations; the kill comes at a random time after it began, and so may hit the next one, too. The
table that is printed tells what was hit.
"""

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from small_runs import (
    TASKS,
    Phase,
    Run,
    differences,
    final_state,
    make_datasets,
    saved_iterations,
    write_config,
)

# After so many kills a run is left to end: kills that come early keep it from getting anywhere.
_KILLS_OF_A_RUN = 10
_WAITED_FOR = (Phase.STARTING, Phase.LOADING, Phase.STEP, Phase.WRITING, Phase.VALIDATION)
_MOST_ITERATIONS = 4  # before a phase is waited for
# Seconds from the beginning of the phase to the kill, at most.
_LONGEST_START, _LONGEST_OFFSET = 2.0, 0.05


@dataclass(frozen=True)
class Setting:
    """One kind of run.

    Args:
        task: Of ``TASKS``.
        ranks: Processes that train together.
        workers: Loader processes of each.
    """

    task: str
    ranks: int
    workers: int

    def __str__(self) -> str:
        return f"{self.task}, {self.ranks} rank(s), {self.workers} worker(s)"


@dataclass
class Tally:
    """What a setting survived.

    Args:
        phases: Kills by what was under way.
        runs: Runs that were interrupted and came to their end.
        lost: Descriptions of checkpoints that a kill took away.
        different: Descriptions of runs that ended with other bits.
    """

    phases: Counter[Phase] = field(default_factory=Counter)
    runs: int = 0
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All kills."""
        return self.phases.total()


def soak(setting: Setting, kills: int, folder: Path, rng: random.Random) -> Tally:
    """Interrupt runs of one kind until there were so many kills.

    Args:
        setting: The kind.
        kills: At least so many.
        folder: For the work directories; the datasets are in ``data`` in it.
        rng: Chooses the moments.
    """
    name = f"{setting.task}_{setting.ranks}_{setting.workers}"
    config = write_config(
        setting.task, folder / f"{name}.py", folder / "data", workers=setting.workers
    )
    Run(config, folder / name, setting.ranks).start().wait()
    expected = final_state(folder / name)
    tally = Tally()
    for number in itertools.count():
        if tally.kills >= kills:
            return tally
        work_dir = folder / f"{name}_{number}"
        run = Run(config, work_dir, setting.ranks)
        quota = min(_KILLS_OF_A_RUN, kills - tally.kills)
        _interrupt_until_done(run, quota, tally, rng)
        changed = differences(final_state(work_dir), expected)
        tally.runs += 1
        if changed:
            tally.different.append(f"{work_dir}: {', '.join(changed[:5])} ({len(changed)} in all)")
        print(_row(f"{setting}, so far", tally), flush=True)
    raise AssertionError


def _interrupt_until_done(run: Run, quota: int, tally: Tally, rng: random.Random) -> None:
    for _ in range(quota):
        before = max(saved_iterations(run.work_dir), default=0)
        run.start()
        if _wait_for_a_moment(run, rng):
            return
        tally.phases[run.phase()] += 1
        run.kill()
        after = max(saved_iterations(run.work_dir), default=0)
        if after < before:
            tally.lost.append(f"{run.work_dir}: iteration {before}, then {after}")
    run.start().wait()


def _wait_for_a_moment(run: Run, rng: random.Random) -> bool:
    """Wait for a random moment of a run; returns whether the run has ended before."""
    phase = rng.choice(_WAITED_FOR)
    iterations = rng.randint(0, _MOST_ITERATIONS)
    first: int | None = None
    while not run.ended():
        now = run.phase()
        if now != Phase.STARTING and first is None:
            first = run.iteration()
        if now == phase and (first is None or run.iteration() >= first + iterations):
            longest = _LONGEST_START if phase == Phase.STARTING else _LONGEST_OFFSET
            time.sleep(rng.uniform(0, longest))
            return run.ended()
        time.sleep(0.002)
    return True


def report(tallies: dict[Setting, Tally]) -> str:
    """A table in Markdown of all that was survived."""
    names = [phase.name.lower() for phase in Phase]
    head = ["run", *names, "kills", "runs ended", "checkpoints lost", "not bit-equal"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for setting, tally in tallies.items():
        lines.append(_row(str(setting), tally))
    total = Tally()
    for tally in tallies.values():
        total.phases.update(tally.phases)
        total.runs += tally.runs
        total.lost += tally.lost
        total.different += tally.different
    return "\n".join([*lines, _row("all", total), *total.lost, *total.different])


def _row(name: str, tally: Tally) -> str:
    counts = [tally.phases[phase] for phase in Phase]
    cells = [name, *counts, tally.kills, tally.runs, len(tally.lost), len(tally.different)]
    return f"| {' | '.join(map(str, cells))} |"


def soak_all(settings: list[Setting], kills: int, folder: Path, seed: int) -> dict[Setting, Tally]:
    """Soak every setting with its share of the kills.

    Args:
        settings: The kinds of runs.
        kills: In all.
        folder: For datasets and work directories.
        seed: Of the moments.
    """
    rng = random.Random(seed)
    make_datasets(folder / "data")
    tallies: dict[Setting, Tally] = {}
    for number, setting in enumerate(settings):
        left = kills - sum(tally.kills for tally in tallies.values())
        tallies[setting] = soak(setting, -(-left // (len(settings) - number)), folder, rng)
    return tallies


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Kill trainings at random and compare their ends.")
    add = parser.add_argument
    add("--kills", type=int, default=200, help="kills in all (default: %(default)s)")
    add("--task", choices=TASKS, action="append", help="this task only; may be repeated")
    add("--ranks", type=int, action="append", help="processes (default: 1 and 2)")
    add("--workers", type=int, action="append", help="loader processes (default: 0 and 2)")
    add("--folder", type=Path, help="keep the work directories here (default: a temporary one)")
    add("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    return parser.parse_args()


def main() -> int:
    """Soak every setting; the status is 1 if anything was lost or differs."""
    args = parse_args()
    settings = [
        Setting(*values)
        for values in itertools.product(
            args.task or TASKS, args.ranks or (1, 2), args.workers or (0, 2)
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        tallies = soak_all(settings, args.kills, args.folder or Path(folder), args.seed)
    print(report(tallies))
    return int(any(tally.lost or tally.different for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
