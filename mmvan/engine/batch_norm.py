"""The hook that finds BatchNorm layers which would see a single value, before the first step."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmvan.errors import ConfigError
from mmvan.registry import HOOKS

_LISTED = 3


@HOOKS.register_module()
class BatchNormCheckHook(Hook):
    """Refuses a training in which a BatchNorm layer has one value per channel.

    It has no variance, and PyTorch ends the run in that step: the first one with a batch of one
    image, the last one of an epoch where one image is left over. Images are small enough for that
    in the last stage, and any are behind a pooling to one pixel, as in UPerNet's head.

    A model is only run, once and on one image, where some batch has one image.

    Raises:
        ConfigError: When the training begins; the message names the layers and what to change.
    """

    def before_train(self, runner: Runner) -> None:
        """Look for such layers."""
        batch, left_over = _smallest_batch(runner.train_dataloader)
        if batch != 1:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        inputs = _inputs(model, runner.train_dataloader.dataset[0])
        names = list(_single_valued(model, inputs))
        if not names:
            return
        where = "the last batch of an epoch has 1 image" if left_over else "batches have 1 image"
        change = "drop_last=True" if left_over else "batch_size=2"
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        height, width = inputs.shape[-2:]
        raise ConfigError(
            f"train_dataloader: {where} of {height} x {width}, so that BatchNorm in "
            f"{', '.join(names[:_LISTED])}{more} would see 1 value per channel, which has no "
            f"variance. Take train_dataloader.{change}, larger images, or another norm (norm_cfg)"
        )


def _smallest_batch(loader: DataLoader[Any]) -> tuple[int, bool]:
    """Images of the smallest batch, and whether that is what is left over at the end."""
    batches = loader.batch_sampler
    size = getattr(batches, "batch_size", None) or loader.batch_size or 0
    drop_last = getattr(batches, "drop_last", loader.drop_last)
    rest = len(loader.sampler) % size if size else 0  # type: ignore[arg-type]
    return (rest, True) if rest and not drop_last else (size, False)


def _inputs(model: nn.Module, sample: Any) -> Tensor:
    """One image as the model gets it."""
    batch = {"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]}
    return model.data_preprocessor(batch, True)["inputs"]  # type: ignore[operator]


def _single_valued(model: nn.Module, inputs: Tensor) -> Iterator[str]:
    """The names of layers that get one value per channel in training mode."""
    found: list[str] = []

    def look(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            if given[0].numel() == given[0].shape[1]:
                found.append(name)

        return hook

    model.train()
    handles = [
        module.register_forward_pre_hook(look(name))
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.training and not _is_shared(module)
    ]
    model.eval()
    try:
        with torch.no_grad():
            _run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
        model.train()
    return iter(dict.fromkeys(found))


def _is_shared(module: nn.Module) -> bool:
    """Whether a layer takes the values of all processes together."""
    return isinstance(module, nn.SyncBatchNorm) and get_world_size() > 1


def _run(model: nn.Module, inputs: Tensor) -> None:
    """Classifiers and segmentors as a whole; of detectors what sees nothing but the image."""
    if hasattr(model, "decode_head") or hasattr(model, "head"):
        model(inputs, mode="tensor")
    elif hasattr(model, "backbone"):
        model.extract_feat(inputs)  # type: ignore[operator]
