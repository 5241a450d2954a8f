# with read_base():
#     from mmvan.configs.detection_van_l_retinanet import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("detection/van_l_retinanet.py"))
del configs
