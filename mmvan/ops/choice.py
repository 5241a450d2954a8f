"""The backend and layout that were found fastest here, and that this process works with.

Nothing is chosen until someone says so: :class:`mmvan.TuneHook` after it has measured, or who
resumes a run with the choice of its checkpoint. Until then, and for what the chosen backend cannot
compute, the operators follow their own rules (:mod:`mmvan.ops.backends`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mmvan.errors import ModelError

Mode = Literal["training", "inference"]


@dataclass(frozen=True)
class Choice:
    """What a device works with.

    Args:
        backend: One of :data:`mmvan.ops.BACKENDS`.
        channels_last: The layout that ``channels_last="auto"`` stands for.
    """

    backend: str
    channels_last: bool

    def __str__(self) -> str:
        return f"{self.backend}, {'channels_last' if self.channels_last else 'contiguous'}"


_choices: dict[tuple[str, str], Choice] = {}


def choose(device: str, mode: Mode, choice: Choice) -> None:
    """Work with a choice from now on.

    Args:
        device: Type of the device, such as ``cpu``.
        mode: Whether for forward and backward passes, or for forward passes without gradients.
        choice: What to work with.
    """
    _choices[device, mode] = choice


def chosen(device: str) -> Choice | None:
    """What was chosen for passes as they run now, with or without gradients; None if nothing."""
    return _choices.get((device, "training" if torch.is_grad_enabled() else "inference"))


def is_chosen(device: str, mode: Mode) -> bool:
    """Whether there is a choice, which then is not to be replaced."""
    return (device, mode) in _choices


def describe_choice() -> dict[str, dict[str, Any]]:
    """All choices as plain values, to be kept in a checkpoint.

    Returns:
        dict[str, dict[str, Any]]: Such as
            ``{"cpu training": {"backend": "native", "channels_last": True}}``; empty if the
            operators follow their own rules.
    """
    return {f"{device} {mode}": asdict(choice) for (device, mode), choice in _choices.items()}


def restore_choice(described: Mapping[str, Mapping[str, Any]]) -> None:
    """Work with exactly the choices that :func:`describe_choice` told.

    Args:
        described: As it was returned.

    Raises:
        ModelError: It is of another form.
    """
    try:
        restored = {
            (device, mode): Choice(str(values["backend"]), bool(values["channels_last"]))
            for (device, mode), values in (
                (key.split(" "), values) for key, values in described.items()
            )
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{described!r} is no choice of operators, as mmvan.ops.describe_choice() tells it"
        ) from error
    _choices.clear()
    _choices.update(restored)


def prefers_channels_last(x: Tensor) -> bool:
    """What ``channels_last="auto"`` means for an input: as chosen, else only on CPUs."""
    choice = chosen(x.device.type)
    return x.device.type == "cpu" if choice is None else choice.channels_last
