# What is the same for all three tasks.
custom_imports = dict(imports=["mmvan"], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="mmvan.CheckpointHook", interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    adapt_checkpoint=dict(type="mmvan.AdaptCheckpointHook"),
    # What would end the run in its first steps or its first evaluation ends it before them.
    batch_norm=dict(type="mmvan.BatchNormCheckHook"),
    rehearsal=dict(type="mmvan.RehearsalHook"),
    # Tells what becomes of the schedule of a resumed run that now has another end.
    resumed_schedule=dict(type="mmvan.ResumedScheduleHook"),
)
custom_hooks = [
    # Averages BatchNorm's statistics over the processes before they are saved or evaluated with.
    dict(type="SyncBuffersHook"),
    # Ends the run before a step whose loss or gradients are not finite, and explains it.
    dict(type="mmvan.NaNGuardHook"),
    # Replaces bad samples in training, counts and reports them; evaluation refuses them.
    dict(type="mmvan.BadDataHook"),
]
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
log_level = "INFO"
load_from = None
resume = False
val_cfg = dict()
test_cfg = dict()
