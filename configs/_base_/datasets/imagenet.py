# ImageNet-1k at 224 x 224 with the authors' augmentation (timm 0.4.12), 128 images per GPU.
_base_ = "../runtime.py"

default_scope = "mmpretrain"
visualizer = dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
default_hooks = dict(
    checkpoint=dict(save_best="accuracy/top1"),
    visualization=dict(type="VisualizationHook", enable=False),
)

# Images are read as timm reads them, with the pixels that Pillow gives (OpenCV decodes CMYK
# otherwise), and as they are stored, whatever orientation their EXIF data asks for.
read = dict(type="mmvan.LoadImage", color_type="color_ignore_orientation")
fill = [128, 128, 128]
# timm picks the interpolation at random (--train-interpolation random).
interpolations = ("bilinear", "bicubic")
random_crops = [
    [dict(type="mmvan.RandomResizedCrop", scale=224, backend="pillow", interpolation=interpolation)]
    for interpolation in interpolations
]
# rand-m9-mstd0.5-inc1. The script's --color-jitter 0.4 has no effect beside it: timm applies
# colour jitter only where no auto-augment policy is chosen.
random_augments = [
    [
        dict(
            type="RandAugment",
            policies="timm_increasing",
            num_policies=2,
            total_level=10,
            magnitude_level=9,
            magnitude_std=0.5,
            hparams=dict(pad_val=fill, interpolation=interpolation),
        )
    ]
    for interpolation in interpolations
]
train_pipeline = [
    read,
    dict(type="RandomChoice", transforms=random_crops),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="RandomChoice", transforms=random_augments),
    dict(
        type="RandomErasing",
        erase_prob=0.25,
        mode="rand",
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=[127.5, 127.5, 127.5],
        fill_std=[127.5, 127.5, 127.5],
    ),
    dict(type="PackInputs"),
]
test_pipeline = [
    read,
    # 224 / 0.9, the authors' crop ratio, rounded down as timm does. Pillow smooths what it shrinks,
    # OpenCV does not: its images would be 4 grey levels off on average.
    dict(type="ResizeEdge", scale=248, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
tta_pipeline = [
    read,
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [test_pipeline[1]],
            [test_pipeline[2]],
            [dict(type="PackInputs")],
        ],
    ),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="ImageNet", data_root="data/imagenet", split="train", pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ImageNet", data_root="data/imagenet", split="val", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1, 5))
test_evaluator = val_evaluator
