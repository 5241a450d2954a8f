# 40,000 iterations, batch 32: AdamW and polynomial decay (the authors' Semantic FPN).
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=2e-4, weight_decay=1e-4, fused=True)
)
# MMEngine's decay ends one step before `end`.
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=40001, by_epoch=False)]
train_cfg = dict(type="mmvan.IterBasedTrainLoop", max_iters=40000, val_interval=4000)
auto_scale_lr = dict(base_batch_size=32, enable=False)
