# VAN-B0 on ImageNet-1k. Expected: top-1 75.4 (arXiv 2202.09741).
_base_ = "./van_b_in1k.py"

model = dict(backbone=dict(arch="b0"), head=dict(in_channels=256))
