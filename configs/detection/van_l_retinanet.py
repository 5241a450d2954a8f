# RetinaNet with VAN-B3, 1x. Expected: box AP 47.5 (arXiv 2202.09741).
_base_ = "./van_b_retinanet.py"

weights = "https://huggingface.co/Visual-Attention-Network/VAN-Large-original/resolve/main/van_large_839.pth.tar"
model = dict(backbone=dict(arch="b3", init_cfg=dict(checkpoint=weights)))
