# VAN-B0 with a large kernel of 14 instead of 21.
# Expected: top-1 75.3 (arXiv 2202.09741, Table 6).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(kernel_size=14)))
