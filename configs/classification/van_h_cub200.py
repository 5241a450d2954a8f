# tools/dist_train.sh configs/classification/van_h_cub200.py 2
# VAN-B4, pre-trained on ImageNet-22k, on CUB-200-2011: 100 epochs, 2 GPUs x 8 images.
# Expected: top-1 91.3 (arXiv 2202.09741).
_base_ = [
    "../_base_/models/van_classifier.py",
    "../_base_/datasets/cub200.py",
    "../_base_/schedules/cub200_100e.py",
]

weights = "https://download.openmmlab.com/mmsegmentation/v0.5/van_3rdparty/van-b4-in22k_3rdparty_20230522-5e31cafb.pth"
# Drop path and label smoothing are not published: those of fine-tuning on ImageNet-1k.
model = dict(
    data_preprocessor=dict(num_classes=200),
    backbone=dict(
        arch="b4", drop_path_rate=0.2, init_cfg=dict(type="Pretrained", checkpoint=weights)
    ),
    head=dict(num_classes=200),
    train_cfg=None,
)
