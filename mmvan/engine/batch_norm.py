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
from torch.nn.parallel import DistributedDataParallel

from mmvan.config_check.lengths import ENDLESS
from mmvan.engine.first_sample import first_sample
from mmvan.engine.random_state import keeping_random_state
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
        batch, left_over = _smallest_batch(runner)
        model = _plain(runner.model)
        if batch != 1 or model is None:
            return
        try:
            with keeping_random_state():
                inputs = _inputs(model, runner.train_dataloader)
                names = list(_single_valued(model, inputs)) if isinstance(inputs, Tensor) else []
        except Exception:  # noqa: BLE001  # The first step says it, with all that belongs to it.
            return
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


def _smallest_batch(runner: Runner) -> tuple[int, bool]:
    """Images of the smallest batch, and whether that is what is left over at the end."""
    loader = runner.train_dataloader
    batches = loader.batch_sampler
    size = getattr(batches, "batch_size", None) or 0
    sampler = getattr(batches, "sampler", loader.sampler)
    if not size or not hasattr(sampler, "__len__") or type(sampler).__name__ in ENDLESS:
        return size, False
    rest = len(sampler) % size
    reached = runner.max_iters >= len(loader)
    left_over = rest and reached and not getattr(batches, "drop_last", False)
    return (rest, True) if left_over else (size, False)


def _plain(model: nn.Module) -> nn.Module | None:
    """The model itself; None where its parameters are elsewhere, as in FSDP and DeepSpeed."""
    if not is_model_wrapper(model):
        return model
    return model.module if isinstance(model, DistributedDataParallel) else None


def _inputs(model: nn.Module, loader: Any) -> Any:
    """One image as the model gets it; something else than a tensor where that is no single one."""
    preprocessor = model.data_preprocessor
    if get_world_size() > 1 and getattr(preprocessor, "batch_augments", None):
        return None  # which the processes may agree on
    collate = getattr(loader, "loader", loader).collate_fn
    data = preprocessor(collate([first_sample(loader.dataset)]), True)  # type: ignore[operator]
    return data["inputs"]


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
