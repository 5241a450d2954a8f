# UPerNet with VAN-B5, pre-trained on ImageNet-22k.
# Expected: mIoU 53.9 multi-scale (arXiv 2202.09741).
# 53.11 single-scale (mmsegmentation's conversion).
_base_ = "./van_b_upernet.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b5-in22k_3rdparty_20230522-b26134d7.pth"
model = dict(
    backbone=dict(arch="b5", drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)),
    decode_head=dict(in_channels=[96, 192, 480, 768]),
    auxiliary_head=dict(in_channels=480),
)
