"""The hook that lets a Runner load whole models in every layout, and test none that is random."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmvan.checkpoint.loading import misfits
from mmvan.checkpoint.wrappers import copy_state_dict, state_dict_of
from mmvan.errors import CheckpointError
from mmvan.models.van import VAN
from mmvan.registry import HOOKS


@HOOKS.register_module()
class AdaptCheckpointHook(Hook):
    """Fits what ``load_from`` and ``resume`` read to a model with VAN inside, and to no other.

    The backbone alone is renamed by itself. A classifier of the authors or of transformers has no
    ``backbone.`` before its keys, and another name for its head: only where the whole file is at
    hand can they be moved to where the model has them.

    A training may start from a part of a file; one line says what stays as initialised. A run that
    is resumed, and a test or validation without training, need all of it.

    Raises:
        CheckpointError: The backbone's tensors do not fit; or such a run begins while a tensor of
            the model is not the file's.
    """

    priority = "VERY_HIGH"  # Before EMAHook, which copies what is loaded.

    def __init__(self) -> None:
        self._problems: list[str] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Rename the weights in what was read, and note what they lack."""
        model = _unwrapped(runner.model)
        if not any(isinstance(module, VAN) for module in model.modules()):
            return
        if any(isinstance(module, FullyShardedDataParallel) for module in runner.model.modules()):
            return  # A shard has other tensors than the file; PyTorch fits and judges them.
        state_dict = copy_state_dict(state_dict_of(checkpoint))
        self._problems = misfits(model, state_dict)
        checkpoint["state_dict"] = state_dict

    def before_train(self, runner: Runner) -> None:
        """Say what stays as initialised; a resumed run must not have anything."""
        if runner.iter:
            self._require_all("a run that is resumed")
        if self._problems:
            print_log(f"left as initialised: {'; '.join(self._problems)}", logger="current")
        self._problems = []

    def before_val(self, runner: Runner) -> None:
        """Refuse to evaluate what was not loaded."""
        self._require_all("a validation")

    def before_test(self, runner: Runner) -> None:
        """Refuse to test what was not loaded."""
        self._require_all("a test")

    def _require_all(self, what: str) -> None:
        if self._problems:
            raise CheckpointError(
                f"{what} needs every weight from the checkpoint, but of this model's are "
                f"{'; '.join(self._problems)}"
            )


def _unwrapped(model: Any) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
