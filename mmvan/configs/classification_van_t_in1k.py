# with read_base():
#     from mmvan.configs.classification_van_t_in1k import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("classification/van_t_in1k.py"))
del configs
