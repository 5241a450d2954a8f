# UPerNet with VAN-B3.
# Expected: mIoU 50.6 multi-scale (arXiv 2202.09741).
# 49.71 single-scale (mmsegmentation's conversion).
_base_ = "./van_b_upernet.py"

weights = "https://huggingface.co/Visual-Attention-Network/VAN-Large-original/resolve/main/van_large_839.pth.tar"
model = dict(
    backbone=dict(arch="b3", drop_path_rate=0.3, init_cfg=dict(checkpoint=weights)),
)
