"""A small model of each kind, with random weights: what is tested is what is shown of them."""

from functools import cache

import torch

from mmvan.app.models import DemoModel
from mmvan.inference.model import build_model, find_config
from mmvan.inference.predict import Predictor
from tests.configs.zoo import CONFIGS

SAMPLES = {
    "Classify": "classification/van_t_in1k_sample.py",
    "Detect": "detection/van_t_maskrcnn_sample.py",
    "Segment": "segmentation/van_t_fpn_sample.py",
}


@cache
def demo_model(tab: str) -> DemoModel:
    """The sample model of a tab."""
    torch.manual_seed(0)
    cfg = find_config(str(CONFIGS / SAMPLES[tab]))
    cfg.model.backbone.init_cfg = None
    return DemoModel(f"a {tab} model", cfg, Predictor(build_model(cfg, None, "cpu")))
