# Semantic FPN with VAN-B4, pre-trained on ImageNet-22k. No result is published.
_base_ = "./van_h_fpn.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b4-in22k_3rdparty_20230522-5e31cafb.pth"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
