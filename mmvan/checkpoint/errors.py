"""The error that every part of checkpoint loading raises."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says what was found and what was expected."""
