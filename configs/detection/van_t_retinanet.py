# RetinaNet with VAN-B0, 1x. Expected: box AP 38.8 (arXiv 2202.09741).
_base_ = "./van_b_retinanet.py"

weights = "https://huggingface.co/Visual-Attention-Network/VAN-Tiny-original/resolve/main/van_tiny_754.pth.tar"
model = dict(
    backbone=dict(arch="b0", drop_path_rate=0.1, init_cfg=dict(checkpoint=weights)),
    neck=dict(in_channels=[32, 64, 160, 256]),
)
