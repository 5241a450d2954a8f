# tools/dist_train.sh configs/segmentation/van_b_upernet.py 8
# UPerNet with VAN-B2 on ADE20K, 160k iterations, 8 GPUs x 2 images.
# Expected: mIoU 50.1 multi-scale (arXiv 2202.09741; tools/test.py --tta),
# 49.35 single-scale (mmsegmentation's conversion).
_base_ = [
    "../_base_/models/upernet.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/ade20k_160k.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
train_dataloader = dict(batch_size=2)
default_hooks = dict(checkpoint=dict(interval=16000))
