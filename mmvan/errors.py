"""What a user can fix: every error that mmvan raises for its input, by what is at fault."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Input that cannot be used; the message says what was found, what was expected, what to do.

    The commands end with its message and status 2, without a traceback.
    """


class ModelError(UserError):
    """An argument of the backbone that has no usable value."""


class CheckpointError(UserError):
    """A checkpoint that cannot be used."""


class DataError(UserError):
    """Data on disk that is not what it must be."""


class ConfigError(UserError):
    """A config file or a command-line option that cannot work."""


class TrainingError(UserError):
    """A training that cannot go on, such as one whose loss is not a number."""


class DeviceError(UserError):
    """A device that was asked for and is not there."""


class DeployError(UserError):
    """A model, format or file that cannot be deployed as asked."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence with the closest of ``candidates``, or an empty string when none is close."""
    close = difflib.get_close_matches(name, list(candidates), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""
