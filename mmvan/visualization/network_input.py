"""What a model sees of an image: the input that its config's tests make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor, nn

from mmvan.errors import ConfigError
from mmvan.inference.predict import Predictor, Prepared
from mmvan.models.van import VAN


@dataclass(frozen=True)
class NetworkInput:
    """One image in the size that the network gets.

    Args:
        name: What the image is called.
        image: RGB, uint8, shape (height, width, 3).
        tensor: Normalised and, in detectors, padded at the right and at the bottom: shape
            (1, 3, H, W).
        samples: The library's data samples of the image.
    """

    name: str
    image: NDArray[np.uint8]
    tensor: Tensor
    samples: list[Any]

    def enlarge(self, values: Tensor) -> NDArray[np.float32]:
        """Scale a map bilinearly to the image.

        Args:
            values: Shape (h, w), of the padded input.

        Returns:
            NDArray[np.float32]: Shape (height, width).
        """
        size = tuple(self.tensor.shape[-2:])
        whole = F.interpolate(values[None, None].float(), size, mode="bilinear")[0, 0]
        return self.crop(whole.cpu().numpy())

    def crop(self, values: NDArray[Any]) -> NDArray[Any]:
        """The part of a map in the size of the padded input that shows the image."""
        height, width = self.image.shape[:2]
        return values[:height, :width]


def network_input(predictor: Predictor, prepared: Prepared, name: str) -> NetworkInput:
    """Make the input of the network.

    Args:
        predictor: The model.
        prepared: An image, from the predictor.
        name: What it is called.
    """
    image = prepared["inputs"].permute(1, 2, 0).numpy()[..., ::-1]
    data = predictor.model.data_preprocessor(pseudo_collate([dict(prepared)]), False)
    return NetworkInput(
        name, np.ascontiguousarray(image), data["inputs"], list(data["data_samples"])
    )


def normalise(predictor: Predictor, image: NDArray[np.uint8]) -> Tensor:
    """The network's input from an image as it is, without the pipeline's resizing and cropping.

    Args:
        predictor: The model, whose preprocessor normalises.
        image: BGR, shape (H, W, 3), sides that are multiples of 32.

    Returns:
        Tensor: Shape (1, 3, H, W).
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    data = {"inputs": [pixels], "data_samples": None}
    return predictor.model.data_preprocessor(data, False)["inputs"]


def find_backbone(model: nn.Module) -> VAN:
    """The VAN inside a model.

    Raises:
        ConfigError: There is none.
    """
    for module in model.modules():
        if isinstance(module, VAN):
            return module
    raise ConfigError("the model has no mmvan.VAN in it; expected backbone=dict(type='mmvan.VAN')")


def record(modules: Sequence[nn.Module], run: Any, *, inputs: bool = False) -> list[Tensor]:
    """What modules give, or get, in one run.

    Args:
        modules: Each is called once by ``run``.
        run: Calls the model.
        inputs: Record the first input instead of the output.

    Returns:
        list[Tensor]: In the order of ``modules``.
    """
    found: dict[int, Tensor] = {}

    def hook(i: int) -> Any:
        def keep(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            found[i] = (given[0] if inputs else output).detach()

        return keep

    handles = [module.register_forward_hook(hook(i)) for i, module in enumerate(modules)]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return [found[i] for i in range(len(modules))]
