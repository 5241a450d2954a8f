"""Drawn panoptic segments, and images without any."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import VISUALIZERS, init_default_scope
from mmengine.structures import InstanceData, PixelData

META = {
    "classes": ("cat", "sky"),
    "thing_classes": ("cat",),
    "palette": [(255, 0, 0), (0, 0, 255)],
}


def drawn(segments: torch.Tensor, path: Path, instances: InstanceData | None = None) -> np.ndarray:
    init_default_scope("mmdet")
    visualizer = VISUALIZERS.build({"type": "mmvan.PanopticVisualizer", "name": path.stem})
    visualizer.dataset_meta = META
    sample = DetDataSample(pred_panoptic_seg=PixelData(sem_seg=segments[None]))
    if instances is not None:
        sample.pred_instances = instances
    grey = np.full((*segments.shape, 3), 128, np.uint8)
    visualizer.add_datasample("a", grey, sample, draw_gt=False, show=False, out_file=str(path))
    assert "pred_panoptic_seg" in sample
    assert ("pred_instances" in sample) == (instances is not None)
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


def test_instances_of_the_same_prediction_are_not_drawn_under_it(tmp_path: Path) -> None:
    segments = torch.ones(60, 80, dtype=torch.int32)
    segments[10:50, :40] = 1000
    masks = torch.zeros(1, 60, 80, dtype=torch.bool)
    masks[0, 20:, 20:] = True
    box = torch.tensor([[20.0, 20, 80, 60]])
    instances = InstanceData(
        bboxes=box, labels=torch.tensor([0]), scores=torch.tensor([0.9]), masks=masks
    )
    alone = drawn(segments, tmp_path / "alone.png")
    assert (drawn(segments, tmp_path / "both.png", instances) == alone).all()
    nothing = torch.full((60, 80), len(META["classes"]), dtype=torch.int32)
    assert (drawn(nothing, tmp_path / "none.png", instances) == 128).all()
