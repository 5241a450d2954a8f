"""What was found is used for the same work on the same device, and for no other."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmvan.ops.choice import Choice
from mmvan.tune import cache
from mmvan.tune.cache import cache_file, describe_device, keep, look_up
from mmvan.tune.search import Outcome
from mmvan.tune.workload import Workload

FOUND = Outcome(Choice("native", True), 1.5, complete=True)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_finding_is_found_again_for_such_work(workload: Workload) -> None:
    assert look_up(workload) is None
    keep(workload, FOUND)
    assert look_up(workload) == FOUND
    assert look_up(replace(workload, height=34)) == FOUND
    others = (
        {"height": 128},
        {"batch": 8},
        {"mode": "inference"},
        {"dtype": "bfloat16"},
        {"depths": (1, 1)},
        {"layouts": (False,)},
    )
    assert [look_up(replace(workload, **change)) for change in others] == [None] * len(others)
    assert [path.name for path in cache_file().parent.iterdir()] == ["tune.json"]


def test_findings_stand_side_by_side(workload: Workload) -> None:
    other = Outcome(Choice("torch", False), 1.0, complete=True)
    keep(workload, FOUND)
    keep(replace(workload, mode="inference"), other)
    assert look_up(workload) == FOUND
    assert look_up(replace(workload, mode="inference")) == other


@pytest.mark.parametrize("name", ("__version__", "_cpu_model"))
def test_another_machine_or_version_is_measured_anew(
    name: str, workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(workload, FOUND)
    monkeypatch.setattr(cache, name, "0.0" if name == "__version__" else lambda: "another")
    assert look_up(workload) is None


def test_the_device_is_told_by_all_that_a_finding_depends_on() -> None:
    found = describe_device("cpu")
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["vectors"] == torch.backends.cpu.get_cpu_capability()
    assert found["cpu"]


@pytest.mark.parametrize("text", ("", "{", "[1]"))
def test_a_damaged_file_is_replaced(text: str, workload: Workload) -> None:
    cache_file().parent.mkdir()
    cache_file().write_text(text)
    assert look_up(workload) is None
    keep(workload, FOUND)
    assert look_up(workload) == FOUND
