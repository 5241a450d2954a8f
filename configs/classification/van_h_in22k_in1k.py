# tools/dist_train.sh configs/classification/van_h_in22k_in1k.py 8
# VAN-B4, pre-trained on ImageNet-22k, fine-tuned on ImageNet-1k: 30 epochs, 8 GPUs x 128 images.
# Expected: top-1 85.7 (arXiv 2202.09741). Besides the length and the size of the images, no setting
# of this step is published: the schedule and the drop path are Swin's, the augmentation is that of
# training from scratch.
_base_ = [
    "../_base_/models/van_classifier.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_30e.py",
]

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b4-in22k_3rdparty_20230522-5e31cafb.pth"
model = dict(
    backbone=dict(
        arch="b4", drop_path_rate=0.2, init_cfg=dict(type="Pretrained", checkpoint=weights)
    ),
)
