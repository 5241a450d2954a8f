"""A short soak, and that it would see a difference."""

from pathlib import Path

import pytest
import torch
from compare import describe, interrupt
from small_runs import Phase, differences, make_datasets
from soak import Setting, Tally, report, soak_all


@pytest.mark.slow
def test_killed_runs_end_with_the_bits_of_uninterrupted_ones(tmp_path: Path) -> None:
    settings = [Setting("classification", 1, 2), Setting("segmentation", 2, 0)]
    tallies = soak_all(settings, 6, tmp_path, seed=1)
    assert sum(tally.kills for tally in tallies.values()) == 6
    for tally in tallies.values():
        assert not tally.lost
        assert not tally.different


@pytest.mark.slow
def test_the_frameworks_own_hooks_end_with_others(tmp_path: Path) -> None:
    make_datasets(tmp_path / "data")
    text = describe(interrupt("segmentation", ours=False, folder=tmp_path, workers=0))
    assert "weights" in text
    assert "optimizer" in text
    assert "logged values" in text


def test_the_last_bit_is_a_difference() -> None:
    one = {"/a": torch.ones(3), "/b": 1.0}
    assert differences(one, {"/a": torch.ones(3), "/b": 1.0}) == []
    assert differences(one, {"/a": torch.ones(3), "/b": 1.0 + 2**-52}) == ["/b"]
    assert differences(one, {"/a": torch.ones(3) + 2**-23, "/b": 1.0}) == ["/a"]
    assert differences(one, {"/a": torch.ones(3, dtype=torch.float64), "/b": 1.0}) == ["/a"]
    assert differences(one, {"/a": torch.ones(3)}) == ["/b"]


def test_what_was_lost_is_reported() -> None:
    tally = Tally(runs=2, lost=["run_1: iteration 6, then 3"])
    tally.phases[Phase.WRITING] = 5
    text = report({Setting("detection", 2, 0): tally})
    assert "| detection, 2 rank(s), 0 worker(s) | 0 | 0 | 0 | 5 | 0 | 0 | 5 | 2 | 1 | 0 |" in text
    assert text.endswith("run_1: iteration 6, then 3")
