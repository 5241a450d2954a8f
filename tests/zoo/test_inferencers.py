"""The task libraries' own inferencers take our configs and checkpoints, on one image each."""

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmvan
from mmvan.checkpoint.layouts import MMPRETRAIN, MMSEG, MMVAN, OFFICIAL, Layout
from mmvan.zoo import config_dir
from tests.forks import forked_python

# What a user types, in a process in which nobody has imported mmvan.
FRESH = """
import sys
import numpy as np
image = np.zeros((64, 64, 3), np.uint8)
for number, config in enumerate(sys.argv[1:], 1):
    if "detection" in config:
        from mmdet.apis import DetInferencer as Inferencer
    else:
        from mmseg.apis import MMSegInferencer as Inferencer
    found = Inferencer(config, f"epoch_{number}.pth", device="cpu")(image)
    print("FOUND", sorted(found))
"""
IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
SIZE = (128, 96)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def save_checkpoint(name: str, folder: Path, layout: Layout = MMVAN) -> tuple[Any, str]:
    """A model with random weights, and a checkpoint of it with the backbone in a layout."""
    model = mmvan.get_model(name)
    names = {f"backbone.{k}": f"backbone.{layout.key(k)}" for k in model.backbone.state_dict()}
    state_dict = {names.get(key, key): tensor for key, tensor in model.state_dict().items()}
    meta = {"dataset_meta": dict(model.dataset_meta), "cfg": model.cfg.pretty_text}
    path = folder / f"{name}.pth"
    torch.save({"meta": meta, "state_dict": state_dict}, path)
    return model, str(path)


def finish_run(model: Any, folder: Path, epoch: int) -> None:
    """Writes what a training run ends with: weights, optimizer, its log and a metric."""
    runner = Runner(
        model,
        str(folder),
        train_dataloader=torch.utils.data.DataLoader([0]),
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        experiment_name=f"finish_run_{epoch}",
    )
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.train_loop  # noqa: B018 - builds it
    runner.message_hub.update_scalar("train/loss", 1.5)
    runner.message_hub.update_info("best_score", np.float32(0.75))
    runner.save_checkpoint(str(folder), f"epoch_{epoch}.pth", save_param_scheduler=False)


def official_file(model: Any, folder: Path) -> str:
    """The same weights as the authors' classification code names them."""
    backbone = {OFFICIAL.key(k): v for k, v in model.backbone.state_dict().items()}
    head = {f"head.{k}": v for k, v in model.head.fc.state_dict().items()}
    torch.save({"state_dict": {**backbone, **head}}, folder / "van_tiny.pth.tar")
    return str(folder / "van_tiny.pth.tar")


def same_weights(one: Any, other: Any) -> bool:
    expected = other.state_dict()
    return all(torch.equal(tensor, expected[key]) for key, tensor in one.state_dict().items())


def test_classification(tmp_path: Path) -> None:
    from mmpretrain import ImageClassificationInferencer

    model, checkpoint = save_checkpoint("van_t_in1k", tmp_path)
    config = str(config_dir() / "classification" / "van_t_in1k.py")
    scores = []
    for given in (
        {"model": config, "pretrained": checkpoint},
        {"model": mmvan.get_model("van_t_in1k", pretrained=official_file(model, tmp_path))},
        {"model": model},
    ):
        (result,) = ImageClassificationInferencer(**given, device="cpu")(IMAGE)
        assert result["pred_class"] == model.dataset_meta["classes"][result["pred_label"]]
        scores.append(result["pred_scores"])
    assert len(scores) == 3
    assert scores[0].shape == (1000,)
    assert all(np.array_equal(scores[0], other) for other in scores)
    assert scores[0].sum() == pytest.approx(1, abs=1e-4)


def test_detection(tmp_path: Path) -> None:
    from mmdet.apis import DetInferencer

    model, checkpoint = save_checkpoint("van_t_maskrcnn", tmp_path, MMPRETRAIN)
    cfg = Config.fromfile(config_dir() / "detection" / "van_t_maskrcnn.py")
    (resize,) = [t for t in cfg.test_dataloader.dataset.pipeline if t.type == "Resize"]
    resize.scale = SIZE
    cfg.model.test_cfg.rcnn.score_thr = 0.0  # random weights are sure of nothing
    inferencer = DetInferencer(model=cfg, weights=checkpoint, device="cpu", show_progress=False)
    (found,) = inferencer(IMAGE, out_dir=str(tmp_path))["predictions"]
    assert len(found["labels"]) == len(found["scores"]) == len(found["bboxes"]) == 100
    assert set(found["labels"]) <= set(range(80))
    boxes = np.array(found["bboxes"])
    assert (boxes >= 0).all()
    assert (boxes <= [128, 96, 128, 96]).all()
    assert inferencer.visualizer.dataset_meta["classes"] == model.dataset_meta["classes"]
    assert same_weights(inferencer.model, model)


@pytest.mark.parametrize(("method", "layout"), (("fpn", MMVAN), ("upernet", MMSEG)))
def test_segmentation(method: str, layout: Layout, tmp_path: Path) -> None:
    from mmseg.apis import MMSegInferencer

    model, checkpoint = save_checkpoint(f"van_t_{method}", tmp_path, layout)
    cfg = Config.fromfile(config_dir() / "segmentation" / f"van_t_{method}.py")
    (resize,) = [t for t in cfg.test_dataloader.dataset.pipeline if t.type == "Resize"]
    resize.scale = SIZE
    inferencer = MMSegInferencer(model=cfg, weights=checkpoint, device="cpu")
    result = inferencer(IMAGE, return_vis=True)
    assert result["predictions"].shape == IMAGE.shape[:2]
    assert set(np.unique(result["predictions"])) <= set(range(150))
    assert result["visualization"].shape == IMAGE.shape
    assert inferencer.visualizer.dataset_meta["classes"] == model.dataset_meta["classes"]
    assert same_weights(inferencer.model, model)


@pytest.mark.slow
def test_checkpoints_of_runs_load_in_a_fresh_process(tmp_path: Path) -> None:
    configs = []
    for epoch, (task, name) in enumerate(
        (("detection", "van_t_retinanet"), ("segmentation", "van_t_fpn")), 1
    ):
        finish_run(mmvan.get_model(name), tmp_path, epoch)
        configs.append(str(config_dir() / task / f"{name}.py"))
    run = subprocess.run(
        [forked_python(), "-c", FRESH, *configs],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(mmvan.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.count("FOUND ['predictions', 'visualization']") == 2, run.stderr
