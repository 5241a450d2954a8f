"""The Visual Attention Network as a backbone, registered as ``mmvan.VAN``."""

from mmvan.arch import ARCHS, Arch, get_arch
from mmvan.checkpoint.schemes import add_hub_scheme
from mmvan.models.layers import LargeKernelAttention
from mmvan.models.van import VAN

__all__ = ["ARCHS", "VAN", "Arch", "LargeKernelAttention", "get_arch"]

add_hub_scheme()
