# COCO 2017 with panoptic masks, 2 images per GPU, large-scale jitter to 1024 x 1024.
# mmdet's own loading and metric need panopticapi, which no package index has; `mmvan.` ones take
# their places.
_base_ = "../runtime.py"

default_scope = "mmdet"
visualizer = dict(
    type="mmvan.PanopticVisualizer",
    vis_backends=[dict(type="LocalVisBackend")],
    name="visualizer",
)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=5000),
    visualization=dict(type="DetVisualizationHook"),
)
log_processor = dict(by_epoch=False, window_size=50)

image_size = (1024, 1024)
train_pipeline = [
    dict(type="LoadImageFromFile", to_float32=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="mmvan.LoadPanopticMasks"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="RandomResize", scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type="RandomCrop",
        crop_size=image_size,
        crop_type="absolute",
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="mmvan.LoadPanopticMasks"),
    dict(
        type="PackDetInputs",
        meta_keys=(
            *("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            # What the metric compares with.
            *("seg_map_path", "segments_info"),
        ),
    ),
]

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="CocoPanopticDataset",
        data_root="data/coco",
        ann_file="annotations/panoptic_train2017.json",
        data_prefix=dict(img="train2017/", seg="annotations/panoptic_train2017/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoPanopticDataset",
        data_root="data/coco",
        ann_file="annotations/panoptic_val2017.json",
        data_prefix=dict(img="val2017/", seg="annotations/panoptic_val2017/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type="mmvan.PanopticQuality"),
    dict(
        type="CocoMetric",
        ann_file="data/coco/annotations/instances_val2017.json",
        metric=["bbox", "segm"],
    ),
]
test_evaluator = val_evaluator
