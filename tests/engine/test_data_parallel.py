"""Two processes over gloo take the same steps as one with twice the batch, in each task."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from mmvan.engine.processes import Processes
from tests.engine import data_parallel
from tests.forks import forked_launch, forked_python

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, torch.Tensor]]:
    file = tmp_path_factory.mktemp("two") / "weights.pth"
    options = ("--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    launcher = [forked_python(), "-m", "mmvan.engine.launch", *options]
    done = subprocess.run(
        [*launcher, str(data_parallel.__file__), str(file)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), **forked_launch()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(file, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("task", data_parallel.METHODS)
def test_two_processes_are_one_with_twice_the_batch(
    task: str, of_two: dict[str, dict[str, torch.Tensor]]
) -> None:
    before = dict(data_parallel.build(task).named_parameters())
    expected = data_parallel.train(task, Processes())
    moved = [name for name in expected if not torch.equal(before[name], expected[name])]
    assert len(moved) > len(expected) / 2
    torch.testing.assert_close(of_two[task], expected, rtol=1e-3, atol=1e-6)
