"""Drawing by the libraries' visualizers."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmvan.inference.draw import Drawer
from mmvan.inference.model import find_config
from tests.configs.zoo import CONFIGS


def test_drawers_of_one_task_keep_their_colours() -> None:
    """MMEngine's registry makes one visualizer of a name, whatever its settings are."""
    cfg = find_config(str(CONFIGS / "segmentation/van_t_fpn_sample.py"))
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.zeros(1, 8, 8, dtype=torch.long)))
    image = np.zeros((8, 8, 3), np.uint8)
    drawers = [
        Drawer(cfg, {"classes": ["one"], "palette": [colour]})
        for colour in ([255, 0, 0], [0, 0, 255])
    ]
    red, blue = (drawer.draw(image, sample)[4, 4] for drawer in drawers)
    assert red[2] > 0
    assert red[0] == 0
    assert blue[0] > 0
    assert blue[2] == 0
