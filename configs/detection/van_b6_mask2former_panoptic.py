# Mask2Former with VAN-B6, pre-trained on ImageNet-22k, 200 queries.
# Expected: PQ 58.2, 64.8 on things, 48.2 on stuff (arXiv 2202.09741).
_base_ = "./van_b_mask2former_panoptic.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b6-in22k_3rdparty_20230522-5e5172a3.pth"
model = dict(
    # The detection drop path of this size is not published: this is its value in segmentation.
    backbone=dict(arch="b6", drop_path_rate=0.5, init_cfg=dict(checkpoint=weights)),
    panoptic_head=dict(in_channels=[96, 192, 384, 768], num_queries=200),
)
