"""The graph that is exported: from uint8 RGB images to the outputs of a part of the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from mmvan.engine.config import task_of
from mmvan.errors import DeployError
from mmvan.models.layers import LayerNorm2d

PARTS = ("whole", "features", "backbone")


@dataclass(frozen=True)
class Normalisation:
    """What a config's data preprocessor does to images, as the libraries do it.

    Args:
        mean: Subtracted from each channel, red first.
        std: Divided by, then.
        to_bgr: Whether the model takes blue first.
        divisor: Images are padded at the right and bottom to multiples of it.
        pad_value: With this, after the normalisation.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_bgr: bool
    divisor: int
    pad_value: float


def normalisation_of(cfg: Config) -> Normalisation:
    """Read the data preprocessor's settings of a config.

    Images are read with blue first, as mmcv's loaders do by default; ``mean`` and ``std`` of a
    config are in the order that the model takes.
    """
    settings: Mapping[str, Any] = cfg.model.get("data_preprocessor") or cfg.get(
        "data_preprocessor", {}
    )
    to_bgr = not (settings.get("to_rgb") or settings.get("bgr_to_rgb"))
    order = -1 if to_bgr else 1
    mean = tuple(float(v) for v in settings.get("mean") or (0, 0, 0))[::order]
    std = tuple(float(v) for v in settings.get("std") or (1, 1, 1))[::order]
    return Normalisation(mean, std, to_bgr, *_padding_of(settings, task_of(cfg)))


def _padding_of(settings: Mapping[str, Any], task: str) -> tuple[int, float]:
    """Divisor and value of the padding in tests, for which mmseg has names of its own."""
    if task != "segmentation":
        return int(settings.get("pad_size_divisor", 1)), float(settings.get("pad_value", 0))
    in_tests = settings.get("test_cfg") or {}
    if in_tests.get("size") is not None:
        raise DeployError(
            f"model.data_preprocessor.test_cfg.size={tuple(in_tests['size'])} pads images to a "
            "size, which an exported file does not. Set --cfg-options "
            "model.data_preprocessor.test_cfg=None and give --shape H W"
        )
    return int(in_tests.get("size_divisor") or 1), float(settings.get("pad_val", 0))


class ExportGraph(nn.Module):
    """A part of a model with the normalisation of its input in front.

    Args:
        model: The task library's model, in evaluation mode.
        outputs_of: Maps normalised images to outputs, by parts of ``model``.
        normalisation: What comes before.
        crop: Whether the outputs, in the size of the padded image, are cut to the image's.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        outputs_of: Callable[[Any, Tensor], tuple[Tensor, ...]],
        normalisation: Normalisation,
        crop: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.crop = crop and normalisation.divisor > 1
        self.outputs_of = outputs_of
        self.to_bgr = normalisation.to_bgr
        self.divisor = normalisation.divisor
        self.pad_value = normalisation.pad_value
        for name in ("mean", "std"):
            values = torch.tensor(getattr(normalisation, name)).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 RGB images (N, 3, H, W) to the part's outputs, in float32."""
        outputs = self.outputs_of(self.model, self.normalise(images))
        if self.crop:
            height, width = images.shape[2:]
            outputs = tuple(output[:, :, :height, :width] for output in outputs)
        return tuple(output.float() for output in outputs)

    def normalise(self, images: Tensor) -> Tensor:
        """Map uint8 RGB images to what the model takes, padded."""
        x = (images.float() - self.mean) / self.std
        if self.to_bgr:
            x = x.flip(1)
        if self.divisor > 1:
            height, width = x.shape[2:]
            x = F.pad(
                x, (0, -width % self.divisor, 0, -height % self.divisor), value=self.pad_value
            )
        return x.to(next(self.model.parameters()).dtype)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of a map as means over them, for graphs without transposes.

    Args:
        norm: The LayerNorm.
    """

    def __init__(self, norm: LayerNorm2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(norm.weight.detach().view(-1, 1, 1))
        self.bias = nn.Parameter(norm.bias.detach().view(-1, 1, 1))
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        centred = x - x.mean(1, keepdim=True)
        variance = (centred * centred).mean(1, keepdim=True)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def replace_layer_norms(model: nn.Module) -> None:
    """Exchange each backbone norm over channels for its form without transposes, in place.

    The runtimes keep maps in layouts of their own, from which LayerNorm's operator, over the last
    axis, makes them leave.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, LayerNorm2d):
            model.set_submodule(name, ChannelNorm(module))


def replace_upsamples(model: nn.Module) -> None:
    """Exchange mmseg's Upsample by PyTorch's, which computes the same, in place.

    mmseg's computes the new size as a Python int, which a tracer takes for a constant.
    """
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "Upsample" and type(module).__module__.startswith("mmseg."):
            factor, mode = module.scale_factor, module.mode
            if factor:
                plain = nn.Upsample(None, factor, mode, module.align_corners)
                model.set_submodule(name, plain)


def build_graph(model: nn.Module, cfg: Config, part: str) -> tuple[ExportGraph, tuple[str, ...]]:
    """Choose what a file holds.

    Args:
        model: The model of the config, in evaluation mode.
        cfg: The config.
        part: One of :data:`PARTS`: ``whole`` gives the logits of a classifier, or of a segmentor
            at the size of the image; ``features`` the maps of backbone and neck, ``backbone``
            the maps of the backbone.

    Returns:
        tuple[ExportGraph, tuple[str, ...]]: The graph and the names of its outputs.

    Raises:
        DeployError: The model has no such part that can be exported.
    """
    normalisation = normalisation_of(cfg)
    if part == "whole":
        task = task_of(cfg)
        crop = task == "segmentation"
        return ExportGraph(model, _whole_of(model, task), normalisation, crop), ("logits",)
    graph = ExportGraph(model, _backbone if part == "backbone" else _features, normalisation)
    with torch.no_grad():
        count = len(graph(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)))
    return graph, tuple(f"map_{i}" for i in range(count))


def require_any_size(model: nn.Module, name: str) -> None:
    """Check that the graph of a model can be for images of any size.

    Args:
        model: The model.
        name: The format of the file.

    Raises:
        DeployError: A part pools a map to some cells, which ONNX has for maps of one size alone.
    """
    if name not in ("onnx", "openvino"):
        return
    for path, module in model.named_modules():
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1)):
            raise DeployError(
                f"--dynamic --format {name}: {path} pools maps of any size to "
                f"{module.output_size} cells a side, for which ONNX has no operator. Leave out "
                "--dynamic and give --shape H W, or take --part features"
            )


def default_part(cfg: Config) -> str:
    """All of a model where that can be exported, else backbone and neck."""
    return "features" if task_of(cfg) == "detection" else "whole"


def _whole_of(model: nn.Module, task: str) -> Callable[[Any, Tensor], tuple[Tensor, ...]]:
    if task == "classification":
        return _logits
    if task == "segmentation":
        _refuse_sliding_windows(model)
        return _segment
    raise DeployError(
        f"--part whole: the heads of {type(model).__name__} in this config use operators that the "
        "runtimes lack. Export --part features; of a detector mmvan.deploy.split then runs the "
        "heads in PyTorch."
    )


def _refuse_sliding_windows(model: Any) -> None:
    if (model.test_cfg or {}).get("mode", "whole") != "whole":
        raise DeployError(
            "--part whole: the config tests by sliding windows (model.test_cfg.mode='slide'); a "
            "file holds one pass. Set --cfg-options model.test_cfg.mode=whole, or --part features"
        )


def _logits(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    return (model(x, mode="tensor"),)


def _segment(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    logits = model.decode_head(model.extract_feat(x))
    size = x.shape[2:]
    return (F.interpolate(logits, size, mode="bilinear", align_corners=model.align_corners),)


def _features(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    maps = model.extract_feat(x)
    return tuple(maps)


def _backbone(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(model.backbone(x))
