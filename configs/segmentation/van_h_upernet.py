# UPerNet with VAN-B4.
# Expected: mIoU 52.2 multi-scale (arXiv 2202.09741).
# 51.56 single-scale (mmsegmentation's conversion).
# The authors' files of this size say 4 images per GPU; with batch 16 that is 4 GPUs and
# `--cfg-options train_dataloader.batch_size=4`.
_base_ = "./van_b_upernet.py"

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b4_3rdparty_20230522-1d71c077.pth"
model = dict(
    backbone=dict(arch="b4", drop_path_rate=0.4, init_cfg=dict(checkpoint=weights)),
)
