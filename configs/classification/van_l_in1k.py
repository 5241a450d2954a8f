# VAN-B3 on ImageNet-1k. Expected: top-1 83.9 (arXiv 2202.09741).
_base_ = "./van_b_in1k.py"

model = dict(backbone=dict(arch="b3", drop_path_rate=0.2))
