# 100 epochs, batch 16: AdamW and cosine, as the paper says (its section on fine-grained
# classification). It names no warm-up, and nothing that weight decay spares.
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=5e-5, weight_decay=5e-4, fused=True)
)
param_scheduler = [
    dict(type="CosineAnnealingLR", by_epoch=True, begin=0, end=100, convert_to_iter_based=True)
]
train_cfg = dict(type="mmvan.EpochBasedTrainLoop", max_epochs=100, val_interval=1)
auto_scale_lr = dict(base_batch_size=16, enable=False)
