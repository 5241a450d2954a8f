"""What becomes of candidates whose process does not do what it should: fake children."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mmvan.ops.choice import Choice
from mmvan.tune import search as module
from mmvan.tune.measure import Finding
from mmvan.tune.search import Outcome, candidates, search
from mmvan.tune.workload import Workload

START = """
import json, os, signal, sys, time
task = json.load(sys.stdin)
print("{}", flush=True)
for c in task["candidates"]:
    name = c["backend"] + (" last" if c["channels_last"] else "")
    gain, fault = 1.0, ""
"""
END = """
    print(json.dumps({"gain": gain, "fault": fault}), flush=True)
"""


@pytest.fixture
def run(tmp_path: Path, workload: Workload) -> "Run":
    return Run(tmp_path, workload)


class Run:
    """Searches with a child that does what a few lines say for each candidate."""

    def __init__(self, folder: Path, workload: Workload) -> None:
        self.path = folder / "child.py"
        self.workload = workload
        self.findings: dict[str, Finding] = {}

    def __call__(self, lines: str, budget: float = 60, start: str = START) -> Outcome:
        body = "".join(f"    {line}\n" for line in lines.strip().splitlines())
        self.path.write_text(start + body + END)
        return search(self.workload, budget, self._note, self.command)

    @property
    def command(self) -> Sequence[str]:
        return (sys.executable, "-S", "-E", str(self.path))

    def _note(self, candidate: Choice, finding: Finding) -> None:
        self.findings[str(candidate)] = finding


def test_the_fastest_is_chosen(run: Run) -> None:
    outcome = run("gain = {'native last': 1.5, 'phase_split last': 1.9, 'torch': 9}.get(name, 0.8)")
    assert outcome == Outcome(Choice("phase_split", True), 1.9, complete=True)
    assert len(run.findings) == 5


def test_plain_pytorch_remains_where_nothing_is_clearly_faster(run: Run) -> None:
    assert run("gain = 1.02") == Outcome(Choice("torch", False), 1.0, complete=True)


def test_the_wrong_is_refused_however_fast(run: Run) -> None:
    lines = "if c['backend'] == 'native': gain, fault = 5.0, 'differs'"
    assert run(lines) == Outcome(Choice("torch", False), 1.0, complete=True)


def test_a_crash_ends_its_candidate_alone(run: Run) -> None:
    lines = """
if name == "native last": os.kill(os.getpid(), signal.SIGSEGV)
if name == "torch last": os._exit(7)
gain = 1.5 if name == "phase_split" else 1.2
"""
    outcome = run(lines)
    assert outcome == Outcome(Choice("phase_split", False), 1.5, complete=True)
    assert run.findings["native, channels_last"].fault == "crashed (SIGSEGV)"
    assert run.findings["torch, channels_last"].fault == "crashed (exit status 7)"


def test_a_hang_ends_its_candidate_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANG_SECONDS", 0.5)
    lines = """
if name == "native last": time.sleep(600)
gain = 1.5 if name == "native" else 1.0
"""
    outcome = run(lines, budget=20)
    assert outcome == Outcome(Choice("native", False), 1.5, complete=True)
    assert run.findings["native, channels_last"].fault.startswith("hung for")


def test_a_child_that_never_begins_leaves_everything_as_it_is(run: Run) -> None:
    assert run("", start="import sys\nif True:\n    sys.exit(1)\n") == Outcome(
        Choice("torch", False), 1.0, complete=False
    )
    assert not run.findings


def test_the_budget_ends_the_search(run: Run) -> None:
    outcome = run("time.sleep(600) if name == 'torch last' else None; gain = 2.0", budget=3)
    assert outcome == Outcome(Choice("native", True), 2.0, complete=False)
    assert len(run.findings) == 2


def test_a_config_that_sets_the_layout_keeps_it(workload: Workload) -> None:
    fixed = replace(workload, layouts=(True,))
    assert candidates(fixed) == [Choice("native", True), Choice("phase_split", True)]
    on_gpu = candidates(replace(workload, device="cuda"))
    own = [Choice(backend, layout) for layout in (True, False) for backend in ("triton", "gluon")]
    assert on_gpu == [*own[:2], Choice("torch", True), *own[2:]]
    assert Choice("torch", False) not in candidates(workload)


@pytest.mark.slow
def test_the_real_child_measures_every_candidate(workload: Workload) -> None:
    found: dict[Choice, Finding] = {}
    outcome = search(workload, 120, found.__setitem__)
    assert list(found) == candidates(workload)
    assert [finding.fault for finding in found.values()] == [""] * 5
    assert outcome.complete
    assert outcome.gain >= 1
