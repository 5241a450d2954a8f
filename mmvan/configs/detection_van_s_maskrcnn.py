# with read_base():
#     from mmvan.configs.detection_van_s_maskrcnn import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("detection/van_s_maskrcnn.py"))
del configs
