# VAN-B0 without attention: the map alone goes on.
# Expected: top-1 74.3 (arXiv 2202.09741, Table 3).
_base_ = "./van_t_in1k.py"

model = dict(backbone=dict(lka_cfg=dict(gate="none")))
