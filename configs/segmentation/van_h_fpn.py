# Semantic FPN with VAN-B4. No result is published.
_base_ = "./van_b_fpn.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b4_3rdparty_20230522-1d71c077.pth"
model = dict(
    backbone=dict(arch="b4", drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)),
)
