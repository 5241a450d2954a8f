# UPerNet with VAN-B4, pre-trained on ImageNet-22k.
# Expected: mIoU 53.5 multi-scale (arXiv 2202.09741).
# 52.61 single-scale (mmsegmentation's conversion).
_base_ = "./van_h_upernet.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b4-in22k_3rdparty_20230522-5e31cafb.pth"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
