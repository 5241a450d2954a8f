"""Metrics that the task libraries lack."""

from mmvan.evaluation.panoptic import PanopticQuality

__all__ = ["PanopticQuality"]
