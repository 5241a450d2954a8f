import shutil
from pathlib import Path

import pytest
import torch

from mmvan.checkpoint.reading import read_checkpoint
from tests.tools.workplace import CONFIGS, Workplace

CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"


def test_mistyped_config(workplace: Workplace) -> None:
    message = workplace.refuse("train.py", CLASSIFIER.with_name("van_t_in1k_smaple.py"))
    assert message.startswith("error: config ")
    assert "does not exist" in message
    assert f"Did you mean {CLASSIFIER}" in message


def test_gpu_that_is_not_there(workplace: Workplace) -> None:
    message = workplace.refuse("train.py", CLASSIFIER, "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert f"PyTorch {torch.__version__}" in message
    assert "CUDA_VISIBLE_DEVICES=''" in message
    assert "--device cpu" in message


def test_missing_data(workplace: Workplace) -> None:
    root = "train_dataloader.dataset.data_root=data/sample/imagenett"
    message = workplace.refuse("train.py", CLASSIFIER, "--cfg-options", root)
    assert "train_dataloader.dataset" in message
    assert "data/sample/imagenett" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "message"),
    (
        ("model.backbone.arch=b9", "unknown arch 'b9': choose from ['b0', "),
        ("model.backbone.out_indices=(4,)", "subset of (0, 1, 2, 3), got (4,)"),
    ),
)
def test_backbone_that_does_not_exist(workplace: Workplace, option: str, message: str) -> None:
    error = workplace.refuse("train.py", CLASSIFIER, "--cfg-options", option)
    assert message in error


@pytest.mark.slow
def test_compiling_without_a_compiler(workplace: Workplace) -> None:
    message = workplace.refuse("train.py", CLASSIFIER, "--compile", CXX="no-such-c++")
    assert "error: --compile: torch.compile does not work on cpu here: No working C++" in message
    assert "leave out --compile" in message


def test_training_leaves_a_checkpoint_that_safe_loading_reads(classifier: Path) -> None:
    checkpoint = read_checkpoint(classifier)
    assert (checkpoint["meta"]["epoch"], checkpoint["meta"]["iter"]) == (1, 2)
    assert checkpoint["meta"]["seed"] == 1
    assert checkpoint["ema_state_dict"]["steps"] == 2
    assert "accuracy/top1" not in checkpoint["message_hub"]["log_scalars"]
    assert len(checkpoint["message_hub"]["log_scalars"]["train/loss"].data[0]) == 2


@pytest.mark.slow
def test_resume_goes_on_where_the_last_run_ended(
    workplace: Workplace, classifier: Path, tmp_path: Path
) -> None:
    work_dir = Path(shutil.copytree(classifier.parent, tmp_path / "moved"))
    log = workplace.succeed(
        "train.py",
        CLASSIFIER,
        *("--resume", "--ema", "0.9", "--work-dir", work_dir, "--cfg-options"),
        *("train_cfg.max_epochs=2", "train_cfg.val_interval=1", "train_dataloader.batch_size=10"),
    )
    assert "resumed epoch: 1, iter: 2" in log
    assert "Epoch(val) [2]" in log
    assert "Epoch(val) [1]" not in log
    resumed = read_checkpoint(work_dir / "epoch_2.pth")
    assert (resumed["meta"]["epoch"], resumed["meta"]["iter"]) == (2, 4)
    assert resumed["ema_state_dict"]["steps"] == 4
    steps = {float(state["step"]) for state in resumed["optimizer"]["state"].values()}
    assert steps == {4.0}
    assert len(resumed["message_hub"]["log_scalars"]["train/loss"].data[0]) == 4
