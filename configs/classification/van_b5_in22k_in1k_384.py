# VAN-B5, pre-trained on ImageNet-22k, fine-tuned on ImageNet-1k at 384 x 384.
# Expected: top-1 87.0 (arXiv 2202.09741).
_base_ = "./van_h_in22k_in1k_384.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b5-in22k_3rdparty_20230522-b26134d7.pth"
model = dict(
    backbone=dict(arch="b5", init_cfg=dict(checkpoint=weights)), head=dict(in_channels=768)
)
