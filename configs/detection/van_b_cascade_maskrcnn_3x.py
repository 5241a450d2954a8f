# tools/dist_train.sh configs/detection/van_b_cascade_maskrcnn_3x.py 8
# Cascade Mask R-CNN with VAN-B2 on COCO, 3x schedule and multi-scale crops, 8 GPUs x 2 images.
# Expected: box AP 52.0 (arXiv 2202.09741). The authors released no code for it; the settings are
# Swin's, which the paper names, and the authors' advice of drop path >= 0.3.
_base_ = [
    "../_base_/models/cascade_maskrcnn.py",
    "../_base_/datasets/coco_instance_3x.py",
    "../_base_/schedules/coco_3x.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
