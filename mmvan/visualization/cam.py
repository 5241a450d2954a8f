"""Grad-CAM: where an image speaks for a class (Selvaraju et al., arXiv 1610.02391)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.registry import DefaultScope
from numpy.typing import NDArray
from torch import Tensor, nn

from mmvan.errors import ConfigError
from mmvan.inference.predict import Predictor
from mmvan.visualization.figures import new_figure, show_image, show_map
from mmvan.visualization.network_input import NetworkInput, find_backbone


class ClassScores(nn.Module):
    """A model as a function from the image to one score per class, which Grad-CAM differentiates.

    A classifier's are its logits; a segmentor's, the sum of a class's logits over the pixels that
    are predicted as it; a detector's, the sum of the scores of its boxes.

    Args:
        predictor: The model.
        samples: The data samples of the image.
    """

    def __init__(self, predictor: Predictor, samples: Sequence[Any]) -> None:
        super().__init__()
        self.model = predictor.model
        self.task, self.scope = predictor.task, predictor.scope
        self.classes = len(predictor.model.dataset_meta["classes"])
        self.samples = list(samples)

    def forward(self, images: Tensor) -> Tensor:
        """Map (1, 3, H, W) to (1, classes)."""
        with DefaultScope.overwrite_default_scope(self.scope):
            if self.task == "detection":
                return self._boxes(images)
            out = self.model(images, mode="tensor")
        if isinstance(out, (tuple, list)):  # mmpretrain's heads without a loss return their input.
            out = out[-1]
        if self.task == "classification":
            return out
        best = out.argmax(1, keepdim=True)
        mine = torch.zeros_like(out).scatter_(1, best, 1)
        return (out * mine).sum((2, 3))

    def _boxes(self, images: Tensor) -> Tensor:
        (found,) = self.model(images, self.samples, mode="predict")
        if "pred_instances" not in found:
            raise ConfigError("cam: a panoptic model has no boxes; use features or attention")
        instances = found.pred_instances
        scores = instances.scores.new_zeros(self.classes)
        return scores.index_add(0, instances.labels, instances.scores)[None]


def grad_cam(
    predictor: Predictor, given: NetworkInput, label: int | None = None, stage: int = 4
) -> tuple[NDArray[np.float32], int, float]:
    """Grad-CAM of a class in the last block of a stage.

    Args:
        predictor: The model.
        given: The image.
        label: The class; None for the one with the highest score.
        stage: 1 to 4.

    Returns:
        tuple[NDArray[np.float32], int, float]: The map of the image, from 0 to 1, shape (height,
        width); the class; its score as :class:`ClassScores` has it.

    Raises:
        ConfigError: The package ``grad-cam`` is missing, or the model finds nothing.
    """
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise ConfigError(
            f"cam needs the package grad-cam ({error}): pip install 'mmvan[visualize]'"
        ) from error
    scores = ClassScores(predictor, given.samples)
    stages: Any = find_backbone(predictor.model).stages
    layer = stages[stage - 1].blocks[-1]
    if label is None:
        with torch.no_grad():
            label = int(scores(given.tensor).argmax())
    with GradCAM(model=scores, target_layers=[layer]) as cam:
        try:
            values = cam(input_tensor=given.tensor, targets=[ClassifierOutputTarget(label)])[0]
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            raise ConfigError(f"cam: the model finds nothing in {given.name}") from error
        score = float(cam.outputs[0, label].detach())
    return given.crop(values), label, score


def plot(
    predictor: Predictor, images: Sequence[NetworkInput], label: int | None, stage: int, note: str
) -> Figure:
    """One row per image: the image, and the map of its class over it."""
    classes = predictor.model.dataset_meta["classes"]
    title = f"Grad-CAM, last block of stage {stage}"
    figure, axes = new_figure(len(images), 2, title, note)
    for row, given in zip(axes, images, strict=True):
        values, found, score = grad_cam(predictor, given, label, stage)
        show_image(row[0], given.image, given.name)
        what = {"classification": "logit", "detection": "sum of box scores"}
        unit = what.get(predictor.task, "sum of logits")
        text = f"{classes[found]} ({unit} {score:.3g})"
        show_map(row[1], values, text, "share of the maximum", given.image, "turbo")
    return figure
