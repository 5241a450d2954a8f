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
PANOPTIC = "detection/van_b_mask2former_panoptic.py"
WIDTH = 32


@cache
def demo_model(tab: str) -> DemoModel:
    """The sample model of a tab."""
    torch.manual_seed(0)
    cfg = find_config(str(CONFIGS / SAMPLES[tab]))
    cfg.model.backbone.init_cfg = None
    return DemoModel(f"a {tab} model", cfg, Predictor(build_model(cfg, None, "cpu")))


@cache
def panoptic_model() -> DemoModel:
    """A small Mask2Former that takes all that it finds for segments."""
    torch.manual_seed(0)
    cfg = find_config(str(CONFIGS / PANOPTIC))
    model = cfg.model
    model.backbone.update(arch="b0", init_cfg=None)
    head = model.panoptic_head
    head.update(in_channels=[32, 64, 160, 256], feat_channels=WIDTH, out_channels=WIDTH)
    head.num_queries = 10
    layers = head.pixel_decoder.encoder, head.transformer_decoder
    for part in layers:
        part.num_layers = 1
        for name in ("self_attn_cfg", "cross_attn_cfg", "ffn_cfg"):
            if name in part.layer_cfg:
                part.layer_cfg[name].embed_dims = WIDTH
    for encoding in (head.positional_encoding, head.pixel_decoder.positional_encoding):
        encoding.num_feats = WIDTH // 2
    model.test_cfg.update(object_mask_thr=0.0, iou_thr=0.0)
    cfg.test_dataloader.dataset.pipeline[1].scale = (96, 96)
    return DemoModel("a panoptic model", cfg, Predictor(build_model(cfg, None, "cpu")))
