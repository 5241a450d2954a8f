import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmvan.engine.processes import Processes
from mmvan.engine.testing import add_testing_options, apply_testing_options
from mmvan.errors import CheckpointError, ConfigError

SCOPES = {"cls": "mmpretrain", "det": "mmdet", "seg": "mmseg"}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.save({}, tmp_path / "van.pth")
    return str(tmp_path / "van.pth")


def config(task: str, **settings: Any) -> Config:
    return Config(
        {
            "default_scope": SCOPES[task],
            "model": {"type": "Model"},
            "test_dataloader": {"dataset": {"dataset": {"pipeline": ["plain"]}}},
            "test_evaluator": {"type": "Metric"},
            "tta_model": {"type": "TTAModel"},
            "tta_pipeline": ["augmented"],
            **settings,
        },
        cfg_text="# stands for the file",
        filename="van.py",
    )


def apply(cfg: Config, weights: str, *options: str, processes: Processes | None = None) -> None:
    parser = argparse.ArgumentParser()
    add_testing_options(parser)
    args = parser.parse_args([weights, *options])
    apply_testing_options(cfg, args, processes or Processes())


def test_checkpoint_is_loaded_and_never_resumed(weights: str) -> None:
    cfg = config("cls", resume=True)
    apply(cfg, weights)
    assert (cfg.load_from, cfg.resume) == (weights, False)
    assert cfg.model == {"type": "Model"}


def test_checkpoint_is_checked(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"CHECKPOINT .*no such file"):
        apply(config("cls"), str(tmp_path / "missing.pth"))


@pytest.mark.parametrize("task", tuple(SCOPES))
def test_tta_wraps_the_model_and_changes_the_innermost_pipeline(task: str, weights: str) -> None:
    cfg = config(task)
    apply(cfg, weights, "--tta")
    assert cfg.model == {"type": "TTAModel", "module": {"type": "Model"}}
    assert cfg.test_dataloader.dataset.dataset.pipeline == ["augmented"]


@pytest.mark.parametrize("missing", ("tta_model", "tta_pipeline"))
def test_tta_needs_the_configs_settings(missing: str, weights: str) -> None:
    with pytest.raises(ConfigError, match=f"--tta: van.py does not set {missing}"):
        apply(config("seg", **{missing: None}), weights, "--tta")


def test_tta_of_classification_cannot_draw(weights: str) -> None:
    with pytest.raises(ConfigError, match="--tta with --show-dir"):
        apply(config("cls"), weights, "--tta", "--show-dir", "images")


def mask_rcnn(metric: object) -> Config:
    roi_head = {"mask_head": {"type": "FCNMaskHead"}, "mask_roi_extractor": {"type": "Single"}}
    return config(
        "det",
        model={"type": "MaskRCNN", "roi_head": roi_head},
        test_evaluator={"type": "CocoMetric", "metric": metric},
    )


@pytest.mark.parametrize(
    ("metric", "left"), ((["bbox", "segm"], ["bbox"]), ("bbox", "bbox")), ids=("both", "boxes")
)
def test_tta_of_mask_rcnn_predicts_boxes_only(
    metric: object, left: object, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = mask_rcnn(metric)
    apply(cfg, weights, "--tta")
    assert cfg.model.module.roi_head == {"mask_head": None, "mask_roi_extractor": None}
    assert cfg.test_evaluator.metric == left
    assert "mmdet merges boxes only" in capsys.readouterr().out


@pytest.mark.parametrize("metric", ("segm", ["segm"]))
def test_tta_of_masks_alone_is_refused(metric: object, weights: str) -> None:
    with pytest.raises(ConfigError, match="asks for masks only"):
        apply(mask_rcnn(metric), weights, "--tta")


@pytest.mark.parametrize(
    ("task", "evaluator"),
    (
        ("cls", {"type": "Metric"}),
        ("cls", [{"type": "Metric"}]),
        ("det", {"type": "Evaluator", "metrics": [{"type": "Metric"}]}),
    ),
)
def test_predictions_are_saved_beside_every_metric(
    task: str, evaluator: object, weights: str
) -> None:
    cfg = config(task, test_evaluator=evaluator)
    apply(cfg, weights, "--out", "predictions.pkl")
    kind = {"cls": "DumpResults", "det": "mmdet.DumpDetResults"}[task]
    assert cfg.test_evaluator == [
        {"type": "Metric"},
        {"type": kind, "out_file_path": "predictions.pkl"},
    ]


def test_label_maps_are_saved_by_the_metric(weights: str) -> None:
    cfg = config("seg")
    apply(cfg, weights, "--out", "maps")
    assert cfg.test_evaluator == {"type": "Metric", "output_dir": "maps"}


@pytest.mark.parametrize(
    ("task", "out", "reason"),
    (("cls", "a.json", "ending .pkl"), ("det", "a", "ending .pkl"), ("seg", "a.pkl", "directory")),
)
def test_wrong_kind_of_output(task: str, out: str, reason: str, weights: str) -> None:
    with pytest.raises(ConfigError, match=f"--out {out}: .*{reason}"):
        apply(config(task), weights, "--out", out)


@pytest.mark.parametrize("default_hooks", (None, {"visualization": {"score_thr": 0.5}}))
@pytest.mark.parametrize(
    ("task", "hook"),
    (
        ("cls", {"type": "VisualizationHook", "enable": True, "out_dir": "images"}),
        ("det", {"type": "DetVisualizationHook", "draw": True, "test_out_dir": "images"}),
        ("seg", {"type": "SegVisualizationHook", "draw": True}),
    ),
)
def test_every_library_draws_by_its_own_hook(
    task: str,
    hook: dict[str, Any],
    default_hooks: Any,
    weights: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = config(task, default_hooks=default_hooks)
    apply(cfg, weights, "--show-dir", "images")
    own = (default_hooks or {}).get("visualization", {})
    folder = str(tmp_path / "images")
    expected = {key: folder if value == "images" else value for key, value in hook.items()}
    assert cfg.default_hooks.visualization == {**own, **expected, "interval": 1}
    if task == "seg":
        assert cfg.visualizer.save_dir == folder
        assert cfg.visualizer.vis_backends == [{"type": "LocalVisBackend"}]


def test_drawing_by_several_processes_says_what_is_missing(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = Processes("pytorch", world_size=4)
    apply(config("det"), weights, "--show-dir", "images", processes=processes)
    assert "one in 4, is drawn" in capsys.readouterr().out
