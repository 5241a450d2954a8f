# VAN-B0 with a large kernel of 7 instead of 21.
# Expected: top-1 74.8 (arXiv 2202.09741, Table 6).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(kernel_size=7, dilation=2)))
