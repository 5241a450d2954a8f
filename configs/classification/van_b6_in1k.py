# VAN-B6 on ImageNet-1k. Published only after pre-training on ImageNet-22k: 86.9.
_base_ = "./van_b_in1k.py"

# The classification drop path of this size is not published: this is its value in segmentation.
model = dict(backbone=dict(arch="b6", drop_path_rate=0.5), head=dict(in_channels=768))
