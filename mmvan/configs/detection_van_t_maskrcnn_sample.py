# with read_base():
#     from mmvan.configs.detection_van_t_maskrcnn_sample import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("detection/van_t_maskrcnn_sample.py"))
del configs
