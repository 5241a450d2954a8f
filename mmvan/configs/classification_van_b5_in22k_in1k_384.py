# with read_base():
#     from mmvan.configs.classification_van_b5_in22k_in1k_384 import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("classification/van_b5_in22k_in1k_384.py"))
del configs
