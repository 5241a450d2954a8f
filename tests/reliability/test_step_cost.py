"""Whole training steps are timed in turns, with and without the network."""

from pathlib import Path

import pytest
from step_cost import OWN, REST, How, StepCost, measure, table


def test_differences_are_of_turns_and_shares_of_the_whole_step() -> None:
    whole = StepCost(plain=[2.0, 4.0, 2.0], guarded=[2.1, 4.1, 2.1])
    rest = StepCost(plain=[0.5, 0.1, 0.1], guarded=[0.51, 0.13, 0.12])
    lines = table({"whole": whole, "rest": rest}).splitlines()
    assert lines[2] == "| whole | 3 | 2.0000 | 2.1000 | +0.1000 (+0.1000 to +0.1000) | +5.00 % |"
    assert lines[3] == "| rest | 3 | 0.1000 | 0.1300 | +0.0200 (+0.0100 to +0.0300) | +1.00 % |"


@pytest.mark.slow
@pytest.mark.parametrize("how", (REST, OWN), ids=("loading", "worker"))
def test_steps_are_measured_over_the_end_of_an_epoch(how: How, tmp_path: Path) -> None:
    cost = measure(tmp_path, 6, how)  # Five iterations are an epoch.
    assert len(cost.plain) == len(cost.guarded) == 6
    assert all(0 < seconds < 10 for seconds in cost.plain + cost.guarded)
