# tools/dist_train.sh configs/segmentation/van_b_mask2former.py 8
# Mask2Former with VAN-B2 on ADE20K, 160k iterations, 8 GPUs x 2 images. It needs mmdet as well.
# Not in the paper, and no result is published: head and schedule are mmseg's own for Swin
# (mask2former_swin-t_8xb2-160k_ade20k-512x512.py), the images are augmented as for UPerNet.
_base_ = [
    "../_base_/models/mask2former_semantic.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/ade20k_mask2former_160k.py",
]

# The authors' ImageNet-1k weights.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(backbone=dict(init_cfg=dict(checkpoint=weights)))
train_dataloader = dict(batch_size=2)
default_hooks = dict(checkpoint=dict(interval=16000))
