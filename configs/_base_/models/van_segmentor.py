# What mmseg's segmentors on VAN share.
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    ),
    # eps 1e-5: the authors' segmentation code, unlike their classification code, in which the
    # weights were trained: `--cfg-options model.backbone.out_norm_cfg.eps=1e-6`.
    backbone=dict(
        type="mmvan.VAN",
        arch="b2",
        channels_last="auto",
        norm_cfg=dict(type="SyncBN"),
        out_norm_cfg=dict(type="LN", eps=1e-5),
        init_cfg=dict(type="Pretrained", checkpoint=None),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
