# What mmdet's detectors on VAN share.
model = dict(
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    # SyncBN: two images per GPU are too few for BatchNorm's statistics. Drop path: the authors
    # advise 0.3 or more for this size and larger ones.
    backbone=dict(
        type="mmvan.VAN",
        arch="b2",
        drop_path_rate=0.3,
        channels_last="auto",
        norm_cfg=dict(type="SyncBN"),
        init_cfg=dict(type="Pretrained", checkpoint=None),
    ),
)
