# VAN-B1 on ImageNet-1k. Expected: top-1 81.1 (arXiv 2202.09741).
_base_ = "./van_b_in1k.py"

model = dict(backbone=dict(arch="b1"))
