"""When a run measures, for which work, and when it leaves everything alone."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmvan import VAN
from mmvan.ops import describe_choice, restore_choice, use_backend
from mmvan.ops.choice import Choice, choose
from mmvan.registry import HOOKS
from mmvan.tune import hook as module
from mmvan.tune.hook import TuneHook
from mmvan.tune.search import Outcome
from mmvan.tune.workload import Workload

ARCH = {"embed_dims": [16, 32], "depths": [2, 3], "ffn_ratios": [1, 1]}
BATCH = {"inputs": [torch.zeros(3, 30, 24), torch.zeros(3, 32, 20)]}
NATIVE = {"backend": "native", "channels_last": True}


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MMVAN_TUNE", raising=False)
    restore_choice({})
    with use_backend(None):
        yield
    restore_choice({})


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[Workload]:
    """The workloads that were measured, by a search that finds the C operators fastest."""
    found: list[Workload] = []

    def search(workload: Workload, budget: float, report: object) -> Outcome:
        found.append(workload)
        return Outcome(Choice("native", True), 1.7, complete=True)

    monkeypatch.setattr(module, "search", search)
    return found


def make_runner(channels_last: Any = "auto", **others: Any) -> Any:
    model = torch.nn.ModuleDict({"backbone": VAN(ARCH, channels_last=channels_last)})
    return SimpleNamespace(model=model, **others)


def test_a_run_measures_once_and_works_with_it(
    searched: list[Workload], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mmvan.tune.hook")
    hook = HOOKS.build({"type": "mmvan.TuneHook"})
    for i in range(2):
        hook.before_train_iter(make_runner(), i, BATCH)
        hook.before_val_iter(make_runner(), i, BATCH)
    work = ((16, 32), (2, 3), (1, 1), 2, 32, 24)
    assert searched == [Workload(*work, mode, "cpu") for mode in ("training", "inference")]
    assert describe_choice() == {"cpu training": NATIVE, "cpu inference": NATIVE}
    told = "training on cpu, float32, 2 x 32 x 24: native, channels_last, 1.70 x plain PyTorch"
    assert told in caplog.messages


def test_the_next_run_takes_what_was_found(searched: list[Workload]) -> None:
    TuneHook().before_train_iter(make_runner(), 0, BATCH)
    restore_choice({})
    TuneHook().before_train_iter(make_runner(), 0, BATCH)
    assert len(searched) == 1
    assert describe_choice() == {"cpu training": NATIVE}


def test_a_choice_that_is_there_remains(searched: list[Workload]) -> None:
    choose("cpu", "training", Choice("torch", False))
    TuneHook().before_train_iter(make_runner(), 0, BATCH)
    assert not searched
    assert describe_choice() == {"cpu training": {"backend": "torch", "channels_last": False}}


def test_precision_and_layout_are_those_of_the_run(searched: list[Workload]) -> None:
    wrapper = SimpleNamespace(cast_dtype=torch.bfloat16)
    TuneHook().before_train_iter(make_runner(True, optim_wrapper=wrapper), 0, BATCH)
    TuneHook().before_test_iter(make_runner(False, optim_wrapper=wrapper), 0, BATCH)
    found = [(work.dtype, work.layouts) for work in searched]
    assert found == [("bfloat16", (True,)), ("float32", (False,))]


@pytest.mark.parametrize("value", ("0", "off"))
def test_the_environment_switches_it_off(
    value: str, searched: list[Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVAN_TUNE", value)
    TuneHook().before_train_iter(make_runner(), 0, BATCH)
    assert not searched
    assert not describe_choice()


def test_a_backend_that_is_asked_for_is_not_replaced(searched: list[Workload]) -> None:
    with use_backend("phase_split"):
        TuneHook().before_train_iter(make_runner(), 0, BATCH)
    assert not searched


def test_a_deterministic_run_follows_the_rules(searched: list[Workload]) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        TuneHook().before_train_iter(make_runner(), 0, BATCH)
    finally:
        torch.use_deterministic_algorithms(False)
    assert not searched


@pytest.mark.parametrize("batch", (None, {}, {"inputs": []}, {"inputs": {"img": 1}}))
def test_batches_without_images_are_left_alone(batch: Any, searched: list[Workload]) -> None:
    TuneHook().before_train_iter(make_runner(), 0, batch)
    assert not searched


def test_a_model_without_van_is_left_alone(searched: list[Workload]) -> None:
    runner = SimpleNamespace(model=torch.nn.Conv2d(3, 3, 1))
    TuneHook().before_train_iter(runner, 0, BATCH)
    assert not searched


def test_what_was_not_measured_in_time_is_left_to_the_rules(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mmvan.tune.hook")
    nothing = Outcome(Choice("torch", False), 1.0, complete=False)
    monkeypatch.setattr(module, "search", lambda *arguments: nothing)
    TuneHook().before_train_iter(make_runner(), 0, BATCH)
    assert not describe_choice()
    assert "the operators' rules hold" in caplog.text
