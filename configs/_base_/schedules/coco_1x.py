# 12 epochs, batch 16: AdamW as in Swin and PoolFormer, which the paper names (section 4.2).
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    paramwise_cfg=dict(custom_keys={"norm": dict(decay_mult=0.0)}),
)
# MMEngine's warm-up ends one step before `end`.
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=501),
    dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
train_cfg = dict(type="mmvan.EpochBasedTrainLoop", max_epochs=12, val_interval=1)
auto_scale_lr = dict(base_batch_size=16, enable=False)
