"""Prediction of small models with random weights, of all tasks, as the library itself predicts."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmvan.errors import ConfigError
from mmvan.inference.draw import Drawer, with_palette
from mmvan.inference.inputs import find_sources
from mmvan.inference.model import build_model, find_config
from mmvan.inference.predict import Predictor
from mmvan.inference.results import ResultFiles
from mmvan.inference.run import Outcome, Outputs, check_screen, run

SMALL = {"embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i, size in enumerate(((40, 60, 3), (60, 40, 3), (40, 60, 3))):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, size, dtype=np.uint8))
    (folder / "broken.jpg").write_text("not an image")
    return folder


def small_config(name: str) -> Config:
    cfg = find_config(name)
    cfg.model.backbone.arch = SMALL
    if name.endswith("in1k"):
        cfg.model.head.in_channels = 32
    else:
        cfg.model.neck.in_channels = list(SMALL["embed_dims"])
        (resize,) = [s for s in cfg.test_dataloader.dataset.pipeline if s.type == "Resize"]
        resize.scale = (64, 64)
    return cfg


def predict(cfg: Config, photos: Path, out: Path, batch: int) -> tuple[Predictor, Outcome]:
    torch.manual_seed(0)
    predictor = Predictor(build_model(cfg, None, "cpu"))
    meta = predictor.model.dataset_meta
    outputs = Outputs(out, Drawer(cfg, meta, 0.0), ResultFiles(out, meta, 0.0), show=False)
    sources, _ = find_sources([str(photos)])
    return predictor, run(predictor, sources, outputs, batch)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_classification_in_batches_is_mmpretrains(photos: Path, tmp_path: Path) -> None:
    from mmpretrain import ImageClassificationInferencer

    cfg = small_config("van_t_in1k")
    predictor, outcome = predict(cfg, photos, tmp_path, batch=2)
    assert outcome.done == 3
    ((name, reason),) = [(Path(f.name).name, f.reason) for f in outcome.failures]
    assert name == "broken.jpg"
    assert "not a readable image" in reason
    found = json.loads((tmp_path / "predictions.json").read_text())
    predictor.model._config, predictor.model._dataset_meta = cfg, predictor.model.dataset_meta
    inferencer = ImageClassificationInferencer(predictor.model, device="cpu")
    for each, (result,) in zip(
        found, (inferencer(str(photos / f["image"])) for f in found), strict=True
    ):
        best = each["predictions"][0]
        assert best["label"] == result["pred_label"]
        assert best["score"] == pytest.approx(float(result["pred_score"]), abs=1e-4)
    assert names(tmp_path / "images") == {"0.png", "1.png", "2.png"}


def test_detection_gives_boxes_and_masks(photos: Path, tmp_path: Path) -> None:
    cfg = small_config("van_t_maskrcnn")
    cfg.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=5)
    _, outcome = predict(cfg, photos, tmp_path, batch=3)
    assert outcome.done == 3
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert [(i["height"], i["width"]) for i in content["images"]] == [(40, 60), (60, 40), (40, 60)]
    assert len(content["annotations"]) == 15
    first: dict[str, Any] = content["annotations"][0]
    assert first["segmentation"]["size"] == [40, 60]


def test_segmentation_splits_batches_by_size(photos: Path, tmp_path: Path) -> None:
    _, outcome = predict(small_config("van_t_fpn"), photos, tmp_path, batch=3)
    assert outcome.done == 3
    content = json.loads((tmp_path / "predictions.json").read_text())
    sizes = [cv2.imread(str(tmp_path / i["labels"]), -1).shape for i in content["images"]]
    assert sizes == [(40, 60), (60, 40), (40, 60)]
    drawn = cv2.imread(str(tmp_path / "images" / "1.png"))
    assert drawn.shape == (60, 40, 3)


def test_no_screen_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ConfigError, match="--show: no screen"):
        check_screen()


def test_missing_colours_are_made_distinct() -> None:
    made = with_palette({"classes": list("abcdef")})["palette"]
    assert len(set(made)) == 6
    own = [(1, 2, 3)]
    assert with_palette({"classes": ["a"], "palette": own})["palette"] == own
