"""Whole steps of each task on a pretended GPU: a tensor that is left on the CPU ends them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from tests.forks import run_python
from tests.reliability.mutated_configs import small_configs

SCRIPT = Path(__file__).with_name("device_steps.py")
SECONDS = 300
TASKS = ("classification", "detection", "segmentation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for task, config in small_configs(folder).items():
            cfg = Config(config)
            if task == "detection":
                make_short(cfg)
            cfg.dump(folder / f"{task}.py")
    finally:
        os.chdir(before)
    return folder


def make_short(cfg: Config) -> None:
    """torchvision's RoIAlign in Python holds, for each pixel of each region, the feature map."""
    for split in ("train", "val"):
        for step in cfg[f"{split}_dataloader"].dataset.pipeline:
            if step.type == "Resize":
                step.scale = (80, 64)
    cfg.model.train_cfg.rcnn.sampler.num = 8
    cfg.model.test_cfg.rpn.max_per_img = 20


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(SCRIPT.parents[2]),
        "OMP_NUM_THREADS": "1",
        "TORCHDYNAMO_DISABLE": "1",  # torchvision compiles its RoIAlign in Python.
    }
    return run_python(str(SCRIPT), *arguments, cwd=folder, environment=environment, timeout=SECONDS)


def steps(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    done = start(folder, *(f"{task}.py" for task in TASKS), *options)
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    assert results.keys() == set(TASKS)
    return results


@pytest.fixture(scope="module")
def on_cpu(folder: Path) -> dict[str, dict[str, Any]]:
    return steps(folder)


@pytest.mark.slow
@pytest.mark.parametrize("options", ((), ("--amp",)), ids=("float32", "bfloat16"))
def test_nothing_is_left_on_the_cpu(
    options: tuple[str, ...], folder: Path, on_cpu: dict[str, dict[str, Any]]
) -> None:
    on_gpu = steps(folder, "--device", "gpu", *options)
    for task in TASKS:
        result = on_gpu[task]
        assert result["parameters"] == result["predictions"] == ["gpu:0"]
        assert result["changed"] == on_cpu[task]["changed"] > 100
        assert result["loss"] == pytest.approx(on_cpu[task]["loss"], rel=0.02 if options else 1e-5)


@pytest.mark.slow
def test_what_is_left_is_found(folder: Path) -> None:
    left = "backbone.stages.0.blocks.0.norm1.running_mean"
    done = start(folder, "classification.py", "--device", "gpu", "--left", left)
    assert done.returncode == 1
    assert "native_batch_norm.default: tensors are on the CPU, of shape (8,)" in done.stderr


@pytest.mark.slow
def test_roi_align_of_mmcv_has_no_bfloat16(folder: Path) -> None:
    """Which is why ``--amp bf16`` takes another one."""
    cfg = Config.fromfile(folder / "detection.py")
    for extractor in (cfg.model.roi_head.bbox_roi_extractor, cfg.model.roi_head.mask_roi_extractor):
        extractor.roi_layer.use_torchvision = False
    cfg.dump(folder / "mmcv.py")
    done = start(folder, "mmcv.py", "--device", "gpu", "--amp")
    assert "not implemented for 'BFloat16'" in done.stderr
