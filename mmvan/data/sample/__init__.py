"""Sample datasets in real formats, drawn by a program: small, learnable and not trivial."""

from mmvan.data.sample.catalog import (
    SAMPLE_CATEGORIES,
    SAMPLE_CATEGORY_PALETTE,
    SAMPLE_CLASSES,
    SAMPLE_SEGMENT_PALETTE,
    SAMPLE_SEGMENTS,
)
from mmvan.data.sample.generate import SAMPLE_TASKS, prepare

__all__ = [
    "SAMPLE_CATEGORIES",
    "SAMPLE_CATEGORY_PALETTE",
    "SAMPLE_CLASSES",
    "SAMPLE_SEGMENTS",
    "SAMPLE_SEGMENT_PALETTE",
    "SAMPLE_TASKS",
    "prepare",
]
