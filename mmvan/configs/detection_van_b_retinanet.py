# with read_base():
#     from mmvan.configs.detection_van_b_retinanet import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("detection/van_b_retinanet.py"))
del configs
