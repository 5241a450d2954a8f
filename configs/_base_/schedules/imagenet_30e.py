# 30 epochs of fine-tuning after ImageNet-22k, batch 1024. The length is published, the rest is not:
# it is Swin's for the same step (swin_base_patch4_window7_224_22kto1k_finetune.yaml of
# github.com/microsoft/Swin-Transformer, whose rates are per 512 images). ConvNeXt's recipe of this
# step also has smaller rates in the first layers:
# `--cfg-options optim_wrapper.constructor=mmvan.LayerDecayOptimWrapperConstructor
# optim_wrapper.paramwise_cfg.layer_decay_rate=0.9`.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(
        type="AdamW", lr=4e-5, weight_decay=1e-8, eps=1e-8, betas=(0.9, 0.999), fused=True
    ),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type="CosineAnnealingLR",
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=5,
        end=30,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(type="mmvan.EpochBasedTrainLoop", max_epochs=30, val_interval=1)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
