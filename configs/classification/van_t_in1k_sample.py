# tools/dist_train.sh configs/classification/van_t_in1k_sample.py 2
# VAN-B0 on the sample images (tools/prepare_sample_data.py): ten classes, 80 x 80, from scratch,
# in a few minutes on two CPU cores. Strong augmentation is for long trainings: there is none here.
_base_ = "./van_t_in1k.py"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=80, crop_ratio_range=(0.6, 1.0)),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=89, edge="short"),
    dict(type="CenterCrop", crop_size=80),
    dict(type="PackInputs"),
]
classes = [
    "striped disc",
    "checkered square",
    "dotted triangle",
    "speckled star",
    "shaded ring",
    "checkered disc",
    "striped cross",
    "dotted square",
    "speckled crescent",
    "shaded triangle",
]
sample = dict(
    type="CustomDataset",
    data_root="data/sample/imagenet",
    with_label=True,
    metainfo=dict(classes=classes),
)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(_delete_=True, **sample, data_prefix="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=1,
    dataset=dict(_delete_=True, **sample, data_prefix="val", pipeline=test_pipeline),
)
test_dataloader = val_dataloader

model = dict(
    data_preprocessor=dict(num_classes=10),
    backbone=dict(drop_path_rate=0.0),
    head=dict(num_classes=10),
    train_cfg=None,
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=60),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=12, val_interval=2)
auto_scale_lr = dict(base_batch_size=32)
# Drawn larger, so that the labels can be read.
default_hooks = dict(logger=dict(interval=10), visualization=dict(rescale_factor=4))
