"""The measurement of the pipelines, on tiny images."""

import csv
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.forks import forked_python

ROOT = Path(__file__).parents[2]
WHOLE = "whole pipeline"
LIBRARIES, RECIPE = "mmcv and mmpretrain", "recipe"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [forked_python(), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
def test_every_recipe_is_measured_step_by_step(tmp_path: Path) -> None:
    done = run(
        ROOT / "benchmarks/run.py",
        *("data_loading", "--quick", "--device", "cpu", "--out", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "data_loading_cpu.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    whole = [row for row in rows if row["metric"] == WHOLE]
    by_recipe = Counter(row["arch"] for row in whole if row["form"] == RECIPE)
    assert by_recipe == {
        "van_b_in1k": 4,  # On images of two sizes.
        "van_h_in22k_in1k_384": 2,
        "van_b_maskrcnn": 2,
        "van_b_maskrcnn_3x": 2,
        "van_b_mask2former_panoptic": 2,
        "van_b_fpn": 2,
        "van_b_upernet": 2,
    }
    assert Counter(row["form"] for row in whole)[LIBRARIES] == 6
    # What is compared in speed gives the same pixels.
    assert {float(row["difference"]) for row in whole if row["form"] in (LIBRARIES, RECIPE)} == {0}
    for row in whole:
        steps = [
            float(step["median"])
            for step in rows
            if (step["case"], step["form"]) == (row["case"], row["form"])
            and step["unit"] == "ms per image"
            and step is not row
        ]
        assert len(steps) >= 4
        assert sum(steps) == pytest.approx(float(row["median"]), rel=1e-3)
    cores = [row for row in rows if row["unit"] == "cores"]
    assert len(cores) == 2 * 5  # B0 to B4, training and test.
    assert all(float(row["median"]) > 0 for row in cores)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    done = run(ROOT / "benchmarks/data_loading.py", "--images", tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(
        f"error: --images {tmp_path}: expected JPEG files (*.jpg, *.jpeg) in it\n"
    )
