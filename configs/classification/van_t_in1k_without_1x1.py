# VAN-B0 without the 1x1 convolution of the attention.
# Expected: top-1 74.6 (arXiv 2202.09741, Table 3).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(pw_conv=False)))
