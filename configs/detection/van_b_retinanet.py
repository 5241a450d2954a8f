# tools/dist_train.sh configs/detection/van_b_retinanet.py 8
# RetinaNet with VAN-B2 on COCO, 1x schedule, 8 GPUs x 2 images.
# Expected: box AP 44.9 (arXiv 2202.09741). The authors released no code for it; the settings are
# those of the papers that they name, and their advice of drop path >= 0.3.
_base_ = [
    "../_base_/models/retinanet.py",
    "../_base_/datasets/coco_detection.py",
    "../_base_/schedules/coco_1x.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
