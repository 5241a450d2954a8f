"""The models by name: which configs and published weights there are, and building from them."""

from mmvan.zoo.hub import register_with_mmpretrain
from mmvan.zoo.location import config_dir

__all__ = ["config_dir", "register_with_mmpretrain"]
