"""Candidates against plain PyTorch, with fake backends, a fake timer, and real ones."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from mmvan.ops import requested_backend
from mmvan.ops.choice import Choice, Mode
from mmvan.tune import measure
from mmvan.tune.child import measure as measure_anyhow
from mmvan.tune.measure import Bench
from mmvan.tune.workload import Workload

Spoil = Callable[[list[torch.Tensor]], list[torch.Tensor]]


class FakeTime:
    """A clock that stands still unless a fake backend takes its time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


def fake_backends(
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeTime,
    seconds: dict[str, float],
    spoil: Spoil = lambda results: results,
) -> None:
    """Lets each backend take some time, and `native` spoil what plain PyTorch computes."""
    real = measure.run_part

    def run_part(*arguments: object) -> list[torch.Tensor]:
        name = requested_backend()
        assert name is not None
        clock.now += seconds[name]
        results = real(*arguments)
        return spoil(results) if name == "native" else results

    monkeypatch.setattr(measure, "run_part", run_part)


def test_gain_is_that_of_the_whole_network_by_the_clock(
    workload: Workload, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_backends(monkeypatch, clock, {"torch": 1.0, "phase_split": 0.25})
    finding = Bench(workload, clock).measure(Choice("phase_split", False), seconds=5)
    assert finding.gain == pytest.approx(4)
    assert not finding.fault


def test_a_slow_backend_has_a_gain_below_one(
    workload: Workload, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_backends(monkeypatch, clock, {"torch": 1.0, "phase_split": 2.0})
    assert Bench(workload, clock).measure(Choice("phase_split", True), 5).gain == pytest.approx(0.5)


def test_a_layout_that_the_config_sets_is_that_of_plain_pytorch_too(workload: Workload) -> None:
    assert Bench(workload).plain == Choice("torch", False)
    assert Bench(replace(workload, layouts=(True,))).plain == Choice("torch", True)


@pytest.mark.parametrize(
    "spoil",
    (
        lambda results: [results[0] + 0.1, *results[1:]],
        lambda results: [*results[:-1], results[-1] + results[-1].abs().max()],
        lambda results: [results[0], results[1] * float("nan"), *results[2:]],
    ),
    ids=("output", "gradient", "nan"),
)
def test_a_wrong_backend_is_refused(
    spoil: Spoil, workload: Workload, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"torch": 1.0, "native": 0.1}
    fake_backends(monkeypatch, clock, seconds, spoil)
    finding = Bench(workload, clock).measure(Choice("native", True), 5)
    assert finding.gain == 0
    assert "differs from plain PyTorch by" in finding.fault


def test_a_backend_that_raises_is_refused(
    workload: Workload, clock: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(results: list[torch.Tensor]) -> list[torch.Tensor]:
        raise RuntimeError("no kernel image\nfor this device")

    fake_backends(monkeypatch, clock, {"torch": 1.0, "native": 0.1}, fail)
    finding = measure_anyhow(Bench(workload, clock), Choice("native", True), 5)
    assert finding.fault == "raised RuntimeError: no kernel image"


@pytest.mark.parametrize("mode", ("training", "inference"))
@pytest.mark.parametrize("backend", ("torch", "phase_split", "native"))
@pytest.mark.parametrize("channels_last", (False, True))
def test_the_real_backends_compute_the_same(
    backend: str, channels_last: bool, mode: Mode, workload: Workload
) -> None:
    finding = Bench(replace(workload, mode=mode)).measure(Choice(backend, channels_last), seconds=0)
    assert not finding.fault
    assert finding.gain > 0
