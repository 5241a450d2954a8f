"""The operators as one C file for CPUs, which the machine's own compiler builds on first use."""

from mmvan.ops.native.library import BuildError, load_library
from mmvan.ops.native.operators import depthwise_gelu, depthwise_pair, unsupported

__all__ = ["BuildError", "depthwise_gelu", "depthwise_pair", "load_library", "unsupported"]
