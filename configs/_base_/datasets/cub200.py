# CUB-200-2011 at 448 x 448, 8 images per GPU: mmpretrain's pipeline. The paper does not say which
# it has; this size is usual for the dataset.
_base_ = "../runtime.py"

default_scope = "mmpretrain"
visualizer = dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
default_hooks = dict(
    checkpoint=dict(save_best="accuracy/top1"),
    visualization=dict(type="VisualizationHook", enable=False),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=600),
    dict(type="RandomCrop", crop_size=448),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=600),
    dict(type="CenterCrop", crop_size=448),
    dict(type="PackInputs"),
]
tta_pipeline = [
    test_pipeline[0],
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [test_pipeline[1]],
            [test_pipeline[2]],
            [test_pipeline[3]],
        ],
    ),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="CUB", data_root="data/CUB_200_2011", split="train", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CUB", data_root="data/CUB_200_2011", split="test", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1,))
test_evaluator = val_evaluator
