# with read_base():
#     from mmvan.configs.segmentation_van_s_upernet import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("segmentation/van_s_upernet.py"))
del configs
