"""Drawn panoptic segments, and images without any."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import VISUALIZERS, init_default_scope
from mmengine.structures import PixelData

META = {
    "classes": ("cat", "sky"),
    "thing_classes": ("cat",),
    "palette": [(255, 0, 0), (0, 0, 255)],
}


def drawn(segments: torch.Tensor, path: Path) -> np.ndarray:
    init_default_scope("mmdet")
    visualizer = VISUALIZERS.build({"type": "mmvan.PanopticVisualizer", "name": path.stem})
    visualizer.dataset_meta = META
    sample = DetDataSample(pred_panoptic_seg=PixelData(sem_seg=segments[None]))
    grey = np.full((*segments.shape, 3), 128, np.uint8)
    visualizer.add_datasample("a", grey, sample, draw_gt=False, show=False, out_file=str(path))
    assert "pred_panoptic_seg" in sample
    return cv2.imread(str(path))[..., ::-1].astype(int)


def test_segments_have_the_colours_of_their_classes(tmp_path: Path) -> None:
    segments = torch.ones(60, 80, dtype=torch.int32)
    segments[10:50, :40] = 1000
    image = drawn(segments, tmp_path / "segments.png")
    cat, sky = image[45, 10], image[45, 70]
    assert cat[0] > cat[2] + 50
    assert sky[2] > sky[0] + 50


def test_an_image_without_segments_is_shown_as_it_is(tmp_path: Path) -> None:
    nothing = torch.full((60, 80), len(META["classes"]), dtype=torch.int32)
    assert (drawn(nothing, tmp_path / "nothing.png") == 128).all()
