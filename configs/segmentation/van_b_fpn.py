# tools/dist_train.sh configs/segmentation/van_b_fpn.py 8
# Semantic FPN with VAN-B2 on ADE20K, 40k iterations, 8 GPUs x 4 images.
# Expected: mIoU 46.7 (arXiv 2202.09741), 46.84 (mmsegmentation's conversion).
_base_ = [
    "../_base_/models/fpn.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/ade20k_40k.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
