"""Checks that the data a config names are there, sound, and what the model is made for."""

from mmvan.data.check.datasets import check_datasets
from mmvan.errors import DataError

__all__ = ["DataError", "check_datasets"]
