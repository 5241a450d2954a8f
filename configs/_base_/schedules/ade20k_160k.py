# 160,000 iterations, batch 16: AdamW, linear warm-up and decay (the authors' UPerNet, as Swin).
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
    paramwise_cfg=dict(custom_keys={"norm": dict(decay_mult=0.0)}),
)
# In the authors' mmseg 0.x, warm-up multiplies a decay that runs from the first iteration on.
# MMEngine's schedules end one step before `end`. mmsegmentation's project lets the decay begin
# after the warm-up: `--cfg-options param_scheduler.0.end=1500 param_scheduler.1.begin=1500
# param_scheduler.1.end=160000`.
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type="PolyLR", power=1.0, eta_min=0.0, begin=0, end=160001, by_epoch=False),
]
train_cfg = dict(type="mmvan.IterBasedTrainLoop", max_iters=160000, val_interval=16000)
auto_scale_lr = dict(base_batch_size=16, enable=False)
