"""Parameters and FLOPs of a config's model, counted as the authors counted them.

The authors' segmentation repository counts with ``mmcv.cnn.get_model_complexity_info``
(``tools/get_flops.py``, input 2048 x 512), and so do the tools of mmdet 2.x and mmseg 0.x that the
figures of other tables agree with. Its rules per layer, one FLOP being one multiply-accumulate:

- convolution and linear layer: its multiply-accumulates; a convolution also one per bias added;
- BatchNorm and LayerNorm with weights: two per input element;
- ReLU and pooling: one per output and one per input element;
- everything that is not one of these modules, such as GELU, LayerScale, shortcuts, functional
  interpolation, and SyncBN: nothing.

The rules are mmcv's own. What mmcv's function cannot do is added here: it looks rules up by exact
type and would pass over this package's ``LayerNorm2d``, and it runs the whole model, where a
two-stage detector selects boxes by value. Layers cost what their shapes say, so everything runs on
the meta device, without memory or arithmetic.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.cnn.utils.flops_counter import get_modules_mapping
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmvan.engine.config import task_of
from mmvan.engine.processes import use_plain_batch_norm

# What mmdet's `forward_dummy` and `StandardRoIHead.forward` give to the heads of the second stage.
BOX_PROPOSALS, MASK_PROPOSALS = 1000, 100


@dataclass(frozen=True)
class Complexity:
    """What a model costs.

    Args:
        params: Number of trainable parameters, auxiliary heads included.
        flops: Multiply-accumulates and what the convention adds, for one image; None where the
            model's forward pass depends on the image's content.
        note: Why ``flops`` is None, or empty.
    """

    params: int
    flops: int | None
    note: str = ""


def measure(cfg: Config, input_size: tuple[int, int]) -> Complexity:
    """Build a config's model without memory for its weights and count what it costs.

    Args:
        cfg: The config, changed in place.
        input_size: Height and width of the image, in pixels.

    Returns:
        Complexity: Of the model in evaluation mode, for one image.
    """
    model = build_without_weights(cfg)
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    try:
        return Complexity(params, count_flops(model, lambda: _run(model, input_size)))
    except (RuntimeError, TypeError) as error:  # TypeError: a head that wants more than maps.
        reason = str(error).partition("\n")[0]
        return Complexity(params, None, f"FLOPs depend on more than shapes: {reason}")


def build_without_weights(cfg: Config) -> nn.Module:
    """Build the model of a config on the meta device, in evaluation mode.

    Args:
        cfg: The config, changed in place. In a detector SyncBN becomes BN, which is counted: the
            published detectors used the authors' classification backbone, which has BN. The
            published segmentors have SyncBN, which is not.
    """
    if task_of(cfg) == "detection":
        use_plain_batch_norm(cfg)
    # Training settings cost nothing, and some make the model log.
    cfg.model.train_cfg = None
    scope = DefaultScope.overwrite_default_scope(cfg.default_scope)
    with scope, torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Deprecations inside the task libraries.
        model: nn.Module = MODELS.build(cfg.model)
    return model.eval()


def count_flops(model: nn.Module, run: Callable[[], object]) -> int:
    """Count the FLOPs of one call by mmcv's rules.

    Args:
        model: Whose modules are counted.
        run: Calls the model, or parts of it, on one image.
    """
    with _counting(model) as counted, torch.no_grad():
        run()
    return sum(vars(module).pop("__flops__") for module in counted)


@contextmanager
def _counting(model: nn.Module) -> Iterator[list[nn.Module]]:
    """Count while the context lasts, in the attribute of each module that mmcv's rules add to."""
    rules = get_modules_mapping()
    counted, hooks = [], []
    for module in model.modules():
        rule = next((rules[kind] for kind in type(module).__mro__ if kind in rules), None)
        if rule is not None:
            vars(module)["__flops__"] = 0
            counted.append(module)
            hooks.append(module.register_forward_hook(rule))
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


def _run(model: Any, input_size: tuple[int, int]) -> None:
    images = torch.empty(1, 3, *input_size, device="meta")
    if hasattr(model, "roi_head"):
        _run_two_stages(model, images)
    else:
        model(images, mode="tensor")


def _run_two_stages(model: Any, images: torch.Tensor) -> None:
    model.rpn_head(model.extract_feat(images))
    heads = model.roi_head
    _run_on_regions(heads.bbox_roi_extractor, heads.bbox_head, BOX_PROPOSALS)
    if heads.with_mask:
        _run_on_regions(heads.mask_roi_extractor, heads.mask_head, MASK_PROPOSALS)


def _run_on_regions(extractors: nn.Module, heads: nn.Module, count: int) -> None:
    """Run each head of a cascade, or the only head, on regions as its extractor returns them."""
    for extractor, head in zip(_as_list(extractors), _as_list(heads), strict=True):
        size = extractor.roi_layers[0].output_size
        head(torch.empty(count, extractor.out_channels, *size, device="meta"))


def _as_list(module: nn.Module) -> list[Any]:
    return list(module) if isinstance(module, nn.ModuleList) else [module]
