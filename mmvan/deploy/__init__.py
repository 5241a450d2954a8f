"""Models for inference: the same numbers in fewer operations."""

from mmvan.deploy.fold import fold

__all__ = ["fold"]
