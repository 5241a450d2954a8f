# VAN with the authors' head: global average pooling and one linear layer.
model = dict(
    type="ImageClassifier",
    # The authors trained classification with mean = std = 127.5 (not ImageNet's statistics).
    data_preprocessor=dict(
        num_classes=1000, mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True
    ),
    # eps 1e-6: the authors' classification code; mmpretrain has
    # `--cfg-options model.backbone.out_norm_cfg.eps=1e-5`.
    backbone=dict(
        type="mmvan.VAN",
        arch="b2",
        out_indices=(3,),
        drop_path_rate=0.1,
        channels_last="auto",
        out_norm_cfg=dict(type="LN", eps=1e-6),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=512,
        init_cfg=dict(type="TruncNormal", layer="Linear", std=0.02),
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
        cal_acc=False,
    ),
    # One of the two per batch, with equal chance (timm: mixup 0.8, cutmix 1.0, switch 0.5).
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)
tta_model = dict(type="AverageClsScoreTTA")
