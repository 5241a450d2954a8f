# VAN-B0 without the dilated depthwise convolution.
# Expected: top-1 74.1 (arXiv 2202.09741, Table 3).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(dw_d_conv=False)))
