# RetinaNet with VAN-B1, 1x. Expected: box AP 42.3 (arXiv 2202.09741).
_base_ = "./van_b_retinanet.py"

weights = "https://huggingface.co/Visual-Attention-Network/VAN-Small-original/resolve/main/van_small_811.pth.tar"
model = dict(backbone=dict(arch="b1", drop_path_rate=0.1, init_cfg=dict(checkpoint=weights)))
