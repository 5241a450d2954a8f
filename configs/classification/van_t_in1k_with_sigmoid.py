# VAN-B0 with a sigmoid on the attention map.
# Expected: top-1 75.2 (arXiv 2202.09741, Table 3).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(sigmoid=True)))
