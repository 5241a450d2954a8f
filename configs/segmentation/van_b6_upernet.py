# UPerNet with VAN-B6, pre-trained on ImageNet-22k.
# Expected: mIoU 54.7 multi-scale (arXiv 2202.09741).
# 54.25 single-scale (mmsegmentation's conversion).
_base_ = "./van_b_upernet.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b6-in22k_3rdparty_20230522-5e5172a3.pth"
model = dict(
    backbone=dict(arch="b6", drop_path_rate=0.5, init_cfg=dict(checkpoint=weights)),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
