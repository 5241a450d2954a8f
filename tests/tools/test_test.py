import pickle
from pathlib import Path

import pytest
from PIL import Image

from tests.tools.workplace import CONFIGS, COUNTS, Workplace

CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"
SEGMENTER = CONFIGS / "segmentation" / "van_t_fpn_sample.py"
CLASSES = 10


def test_checkpoint_that_is_a_web_page(workplace: Workplace, tmp_path: Path) -> None:
    page = tmp_path / "van.pth"
    page.write_text("<!DOCTYPE html><html>404</html>")
    message = workplace.refuse("test.py", CLASSIFIER, page)
    assert f"CHECKPOINT {page} is not a checkpoint: it is an HTML page" in message


@pytest.mark.slow
def test_classification_saves_and_draws(
    workplace: Workplace, classifier: Path, tmp_path: Path
) -> None:
    out, images = tmp_path / "predictions.pkl", tmp_path / "images"
    log = workplace.succeed(
        "test.py", CLASSIFIER, classifier, "--out", out, "--show-dir", images, "--device", "cpu"
    )
    assert "test classification" in log
    assert "1 x cpu (GPUs hidden)" in log
    assert "accuracy/top1" in log
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == CLASSES * COUNTS["cls"][1]
    assert {tuple(prediction["pred_score"].shape) for prediction in predictions} == {(CLASSES,)}
    drawn = list(images.glob("*.png"))
    assert len(drawn) == len(predictions)
    assert Image.open(drawn[0]).size == (320, 320)


@pytest.mark.slow
def test_classification_with_augmentation(workplace: Workplace, classifier: Path) -> None:
    log = workplace.succeed("test.py", CLASSIFIER, classifier, "--tta")
    assert "accuracy/top1" in log


@pytest.mark.slow
def test_segmentation_trains_saves_and_draws(
    workplace: Workplace, classifier: Path, tmp_path: Path
) -> None:
    start = f"model.backbone.init_cfg.checkpoint={classifier.relative_to(workplace.root)}"
    steps = ("train_cfg.max_iters=2", "train_cfg.val_interval=2", "train_dataloader.batch_size=2")
    options = ("default_hooks.checkpoint.interval=2", *steps, start)
    workplace.succeed("train.py", SEGMENTER, "--cfg-options", *options)
    weights = workplace.root / "work_dirs" / "van_t_fpn_sample" / "iter_2.pth"

    maps, images = tmp_path / "maps", tmp_path / "images"
    log = workplace.succeed("test.py", SEGMENTER, weights, "--out", maps, "--show-dir", images)
    assert "mIoU" in log
    saved, drawn = list(maps.glob("*.png")), list(images.rglob("*.png"))
    assert (len(saved), len(drawn)) == (COUNTS["seg"][1], COUNTS["seg"][1])
    assert Image.open(saved[0]).mode == "L"
