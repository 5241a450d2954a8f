# tools/dist_train.sh configs/detection/van_b_mask2former_panoptic.py 8
# Mask2Former with VAN-B2 on COCO panoptic, 50 epochs, 100 queries, 8 GPUs x 2 images.
# Expected: PQ 54.9, 61.2 on things, 45.3 on stuff (arXiv 2202.09741). The authors released no code
# for it; the settings are Mask2Former's for Swin in mmdet, and their advice of drop path >= 0.3.
_base_ = [
    "../_base_/models/mask2former_panoptic.py",
    "../_base_/datasets/coco_panoptic.py",
    "../_base_/schedules/mask2former_50e.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
