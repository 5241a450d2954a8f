# Semantic FPN (mmseg's standard settings) on VAN.
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
    # eps 1e-5: the authors' segmentation code, unlike their classification code.
    backbone=dict(
        type="mmvan.VAN",
        arch="b2",
        drop_path_rate=0.2,
        norm_cfg=dict(type="SyncBN"),
        out_norm_cfg=dict(type="LN", eps=1e-5),
        init_cfg=dict(type="Pretrained", checkpoint=None),
    ),
    neck=dict(type="FPN", in_channels=[64, 128, 320, 512], out_channels=256, num_outs=4),
    decode_head=dict(
        type="FPNHead",
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=dict(type="SyncBN"),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
