# VAN-B0 without the local depthwise convolution.
# Expected: top-1 74.9 (arXiv 2202.09741, Table 3).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(dw_conv=False)))
