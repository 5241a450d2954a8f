"""What an exported file says about itself: what goes in, what comes out, where it is from."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from mmvan.deploy.decision import Decision
from mmvan.errors import DeployError

# The entry of a file's metadata that holds the contract, in every format.
KEY = "mmvan"
INPUT_NAME = "images"


@dataclass(frozen=True)
class Contract:
    """The interface of an exported graph. Its one input is ``images``: RGB, uint8, (N, 3, H, W).

    Args:
        task: ``classification``, ``detection`` or ``segmentation``.
        part: What of the model is in the file: ``whole``, ``features`` or ``backbone``.
        outputs: Names of the outputs, in order; all are float32.
        batch: Images per call; None for any number.
        height: Height of the images; with ``dynamic`` only what is usual.
        width: Width of the images, as ``height``.
        dynamic: Whether batch, height and width may vary from call to call.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        folded: Whether the normalisations are folded into the convolutions.
        mean: What the graph subtracts from each channel, red first; 0 for nothing.
        std: What it then divides by; 1 for nothing.
        classes: Names of the classes in the order of their labels.
        palette: Colour of each class, where the dataset has one.
        scope: Scope of the task library, whose transforms are in ``pipeline``.
        pipeline: Transforms that make the input of an image file, as the config tests.
        config: The config file.
        checkpoint: The file or address of the weights.
        version: The mmvan that wrote the file.
        decision: How its logits become scores and labels; None for maps.
        weight_bits: Of int8, the bits that the weights use; None for other precisions.
    """

    task: str
    part: str
    outputs: tuple[str, ...]
    batch: int | None
    height: int
    width: int
    dynamic: bool
    precision: str
    folded: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    scope: str
    pipeline: tuple[dict[str, Any], ...]
    config: str
    checkpoint: str
    version: str
    decision: Decision | None = None
    weight_bits: int | None = None

    def to_text(self) -> str:
        """The contract as JSON."""
        return json.dumps(asdict(self))

    def check_input(self, shape: tuple[int, ...], file: str) -> None:
        """Check that images of a shape are what the graph takes.

        Raises:
            DeployError: They are not; the message names both shapes.
        """
        fixed = (self.batch, 3, self.height, self.width)
        fits = len(shape) == 4 and shape[1] == 3 if self.dynamic else shape == fixed
        if not fits:
            expected = "(N, 3, H, W)" if self.dynamic else fixed
            raise DeployError(
                f"{file} takes uint8 images of shape {expected}, got {shape}. Export with "
                "--dynamic for any size, or with --shape and --batch for another one."
            )


def read_contract(text: str | None, file: str) -> Contract:
    """Read what :meth:`Contract.to_text` wrote.

    Args:
        text: The entry of the file's metadata; None if it has none.
        file: The file, for the message.

    Raises:
        DeployError: There is no contract, or not one of this version.
    """
    if not text:
        raise DeployError(
            f"{file} has no entry {KEY!r} in its metadata: it was not written by tools/export.py, "
            "so that its inputs and classes are unknown"
        )
    known = {field.name for field in fields(Contract)}
    try:
        values = json.loads(text)
        found = set(values)
        decision = values.get("decision")
        values["decision"] = decision and Decision(**decision)
    except (AttributeError, ValueError, TypeError) as error:
        raise DeployError(f"{file}: its entry {KEY!r} is damaged: {error}") from error
    if found != known:
        raise DeployError(
            f"{file}: its entry {KEY!r} is of another version of mmvan: missing "
            f"{sorted(known - found)}, unknown {sorted(found - known)}. Export the model again."
        )
    return Contract(**{key: _frozen(value) for key, value in values.items()})


def _frozen(value: Any) -> Any:
    """Lists as tuples, all the way down: the transforms tell a scale by its being a tuple."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
