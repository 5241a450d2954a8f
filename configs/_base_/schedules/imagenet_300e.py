# The authors' 300 epochs: AdamW, 5 epochs of warm-up, cosine, and timm's 10 epochs at the minimum.
# The paper's text has another rate: `--cfg-options optim_wrapper.optimizer.lr=5e-4
# param_scheduler.0.start_factor=2e-3` (which keeps the first rate, 1e-6). mmpretrain clips the
# gradients, the authors do not: `--cfg-options optim_wrapper.clip_grad.max_norm=5.0`.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(
        type="AdamW", lr=1e-3, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999), fused=True
    ),
    # No weight decay on one-dimensional parameters: biases, norms and layer scales.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
# timm's warm-up reaches the cosine at epoch 5; MMEngine's ends one step before `end`. mmpretrain
# warms up for 20 epochs and decays to 1e-5: `--cfg-options param_scheduler.0.end=21`,
# `--cfg-options param_scheduler.1.eta_min=1e-5`.
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, begin=0, end=6),
    dict(type="CosineAnnealingLR", T_max=300, eta_min=1e-6, by_epoch=True, begin=0, end=301),
]
train_cfg = dict(type="mmvan.EpochBasedTrainLoop", max_epochs=310, val_interval=1)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
randomness = dict(seed=42)
