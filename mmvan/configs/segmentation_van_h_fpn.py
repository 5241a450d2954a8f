# with read_base():
#     from mmvan.configs.segmentation_van_h_fpn import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("segmentation/van_h_fpn.py"))
del configs
