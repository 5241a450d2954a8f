"""The version of mmvan: the one place that states it."""

__version__ = "0.1.0"
