"""The models by name: which configs and published weights there are, and building from them."""

from mmvan.location import config_dir
from mmvan.zoo.hub import register_with_mmpretrain

__all__ = ["config_dir", "register_with_mmpretrain"]
