# tools/dist_train.sh configs/detection/van_t_maskrcnn_sample.py 2
# Mask R-CNN with VAN-B0 on the sample scenes (tools/prepare_sample_data.py), on CPUs too. It starts
# from the backbone that classification/van_t_in1k_sample.py trains: run that first.
_base_ = "./van_t_maskrcnn.py"

weights = "work_dirs/van_t_in1k_sample/epoch_12.pth"
categories = (
    "striped disc",
    "checkered square",
    "dotted triangle",
    "speckled star",
    "shaded ring",
)
palette = [(220, 20, 60), (255, 200, 0), (30, 144, 255), (148, 0, 211), (0, 200, 160)]
metainfo = dict(classes=categories, palette=palette)
# A small job: half the width in neck and heads, and fewer proposals per image.
width = 128
model = dict(
    backbone=dict(drop_path_rate=0.0, init_cfg=dict(checkpoint=weights)),
    neck=dict(out_channels=width),
    rpn_head=dict(in_channels=width, feat_channels=width),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(in_channels=width, fc_out_channels=512, num_classes=5),
        mask_roi_extractor=dict(out_channels=width),
        mask_head=dict(in_channels=width, conv_out_channels=width, num_classes=5),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=400, max_per_img=150), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=400, max_per_img=150)),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(224, 192), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(224, 192), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="PackDetInputs", meta_keys={{_base_.meta_keys}}),
]
train_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root="data/sample/coco", metainfo=metainfo, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root="data/sample/coco", metainfo=metainfo, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="data/sample/coco/annotations/instances_val2017.json")
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=8e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=2, val_interval=1)
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(logger=dict(interval=10))
randomness = dict(seed=0)
