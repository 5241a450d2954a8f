"""The error that everything about data on disk raises."""

__all__ = ["DataError"]


class DataError(ValueError):
    """Data on disk is not what it must be; the message says where, how and what to do."""
