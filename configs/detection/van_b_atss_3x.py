# tools/dist_train.sh configs/detection/van_b_atss_3x.py 8
# ATSS with VAN-B2 on COCO, 3x schedule and multi-scale crops, 8 GPUs x 2 images.
# Expected: box AP 50.2 (arXiv 2202.09741). The authors released no code for it; the settings are
# Swin's, which the paper names, and the authors' advice of drop path >= 0.3.
_base_ = [
    "../_base_/models/atss.py",
    "../_base_/datasets/coco_detection_3x.py",
    "../_base_/schedules/coco_3x.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
