# VAN-B4 on ImageNet-1k. Expected: top-1 84.2 (the authors' README).
_base_ = "./van_b_in1k.py"

# The classification drop path of this size is not published: this is its value in segmentation.
model = dict(backbone=dict(arch="b4", drop_path_rate=0.4))
