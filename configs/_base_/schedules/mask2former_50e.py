# 368,750 iterations (50 epochs of COCO), batch 16: AdamW as in Mask2Former, by mmdet's figures.
# Backbones learn ten times slower; norms and embeddings are not decayed.
embedding = dict(lr_mult=1.0, decay_mult=0.0)
backbone_norm = dict(lr_mult=0.1, decay_mult=0.0)
# The longest key that is in a name decides: these are longer than `backbone`, and only names of VAN
# have them in.
van_norms = [
    *("embed.norm", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"),
    *("stages.0.norm", "stages.1.norm", "stages.2.norm", "stages.3.norm"),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(
        type="AdamW", lr=1e-4, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999), fused=True
    ),
    paramwise_cfg=dict(
        custom_keys={
            "backbone": dict(lr_mult=0.1, decay_mult=1.0),
            **dict.fromkeys(van_norms, backbone_norm),
            **dict.fromkeys(("query_embed", "query_feat", "level_embed"), embedding),
        },
        norm_decay_mult=0.0,
    ),
    clip_grad=dict(max_norm=0.01, norm_type=2),
)
param_scheduler = [
    dict(
        type="MultiStepLR",
        begin=0,
        end=368750,
        by_epoch=False,
        milestones=[327778, 355092],
        gamma=0.1,
    )
]
# Every 5000 iterations, and at the end.
train_cfg = dict(
    type="mmvan.IterBasedTrainLoop",
    max_iters=368750,
    val_interval=5000,
    dynamic_intervals=[(365001, 368750)],
)
auto_scale_lr = dict(base_batch_size=16, enable=False)
