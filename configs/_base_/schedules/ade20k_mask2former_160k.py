# 160,000 iterations, batch 16: Mask2Former's optimizer and polynomial decay, as in mmseg's own
# configs of it on ADE20K.
_base_ = "./mask2former_50e.py"

param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=160000, by_epoch=False)]
train_cfg = dict(
    _delete_=True, type="mmvan.IterBasedTrainLoop", max_iters=160000, val_interval=16000
)
