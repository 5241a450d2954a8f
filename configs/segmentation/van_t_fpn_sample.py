# tools/dist_train.sh configs/segmentation/van_t_fpn_sample.py 2
# Semantic FPN with VAN-B0 on the sample scenes (tools/prepare_sample_data.py), on CPUs too. It
# starts from the backbone that classification/van_t_in1k_sample.py trains: run that first.
_base_ = "./van_t_fpn.py"

weights = "work_dirs/van_t_in1k_sample/epoch_12.pth"
segments = (
    "sky",
    "grass",
    "water",
    "striped disc",
    "checkered square",
    "dotted triangle",
    "speckled star",
    "shaded ring",
)
palette = [
    (6, 230, 230),
    (4, 200, 3),
    (61, 80, 250),
    (220, 20, 60),
    (255, 200, 0),
    (30, 144, 255),
    (148, 0, 211),
    (0, 200, 160),
]
# A small job: half the width in neck and head.
width = 128
model = dict(
    data_preprocessor=dict(size=(160, 160)),
    backbone=dict(drop_path_rate=0.0, init_cfg=dict(checkpoint=weights)),
    neck=dict(out_channels=width),
    decode_head=dict(in_channels=[width] * 4, channels=width // 2, num_classes=8),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="RandomResize", scale=(224, 192), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(160, 160), cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(224, 192), keep_ratio=True),
    dict(type="ResizeToMultiple", size_divisor=32),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="PackSegInputs"),
]
tta_ratios = [0.75, 1.0, 1.25]
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="Resize", scale=(int(224 * r), int(192 * r)), keep_ratio=True)
                for r in tta_ratios
            ],
            [dict(type="ResizeToMultiple", size_divisor=32)],
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [dict(type="LoadAnnotations", reduce_zero_label=True)],
            [dict(type="PackSegInputs")],
        ],
    ),
]
sample = dict(
    type="BaseSegDataset",
    data_root="data/sample/ade20k",
    metainfo=dict(classes=segments, palette=palette),
    reduce_zero_label=True,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(**sample, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(**sample, pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=40, end=660, by_epoch=False),
]
train_cfg = dict(max_iters=660, val_interval=220)
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=220))
randomness = dict(seed=0)
