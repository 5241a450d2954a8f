# with read_base():
#     from mmvan.configs.detection_van_b_mask2former_panoptic import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("detection/van_b_mask2former_panoptic.py"))
del configs
