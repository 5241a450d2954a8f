"""Our configs as bases of configs in pure Python.

MMEngine takes such a base from a file of the package and mixes the two kinds of configs in no other
way. So each config has a file in ``mmvan/configs`` that does nothing but read it. Its name has the
task in it: `mim` looks for configs in all of the package, and wants to find one of a name.
"""

from typing import Any

from mmengine.config import Config

from mmvan.location import config_dir

# Import statements stand for names in such files, so that none is executed.
TEXT = """\
# with read_base():
#     from mmvan.configs.{task}_{name} import *
configs = __import__("mmvan.zoo.python_configs", fromlist=["read"])
globals().update(configs.read("{task}/{name}.py"))
del configs
"""


def read(name: str) -> dict[str, Any]:
    """Read one of our configs.

    Args:
        name: Its path in the folder of configs, such as ``classification/van_b_in1k.py``.

    Returns:
        dict[str, Any]: Its variables, as plain values.
    """
    variables: dict[str, Any] = Config.fromfile(config_dir() / name)._cfg_dict.to_dict()
    return variables
