# 36 epochs, batch 16, as in Swin.
_base_ = "./coco_1x.py"

# MMEngine's warm-up ends one step before `end`.
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type="MultiStepLR", begin=0, end=36, by_epoch=True, milestones=[27, 33], gamma=0.1),
]
train_cfg = dict(max_epochs=36)
