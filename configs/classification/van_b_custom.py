# tools/dist_train.sh configs/classification/van_b_custom.py 1
# VAN-B2 on your own images, from ImageNet-1k weights: 1 GPU x 64 images. A template: copy it in
# this folder, put the images into DATA_ROOT/{train,val}/<name of the class>/, edit three lines.
_base_ = [
    "../_base_/models/van_classifier.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_30e.py",
]

data_root = "data/custom"
num_classes = 10
epochs = 30

# The authors' ImageNet-1k weights; the head is left out, as its classes are others.
weights = "https://huggingface.co/Visual-Attention-Network/VAN-Base-original/resolve/main/van_base_828.pth.tar"
model = dict(
    data_preprocessor=dict(num_classes=num_classes),
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=weights)),
    head=dict(num_classes=num_classes),
    # Mixing images is for long trainings on many of them.
    train_cfg=None,
)
images = dict(type="CustomDataset", data_root=data_root, with_label=True)
train_dataloader = dict(
    batch_size=64,
    # The images may be fewer than a batch.
    drop_last=False,
    dataset=dict(_delete_=True, **images, data_prefix="train", pipeline=_base_.train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    dataset=dict(_delete_=True, **images, data_prefix="val", pipeline=_base_.test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator

# This project's choice: a tenth of the rate and the weight decay of training from scratch.
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.05))
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-2,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=0,
        end=epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=64)
