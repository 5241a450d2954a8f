"""MMEngine's ``FlexibleRunner`` with FSDP: how a VAN is cut, and what the runner needs beside."""

from typing import Any

from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.config import Config
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmvan.models.layers import Block
from mmvan.registry import FUNCTIONS, STRATEGIES
from mmvan.type_name import type_name

# On a CPU, tensors that PyTorch's FSDP "offloads" for rank 0 are views of memory that it frees.
_WITHOUT_OFFLOAD = {"offload_to_cpu": False, "rank0_only": False}
_FULL_ON_CPU: dict[str, Any] = {
    "state_dict_type": "FULL_STATE_DICT",
    "state_dict_config": {"type": "FullStateDictConfig", **_WITHOUT_OFFLOAD},
    "optim_state_dict_config": {"type": "FullOptimStateDictConfig", **_WITHOUT_OFFLOAD},
}


@STRATEGIES.register_module()
class FSDPStrategy(MMEngineFSDPStrategy):
    """MMEngine's, which hands PyTorch the optimizer's state in an order of before PyTorch 2.1."""

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each process its share of the optimizer's state.

        Args:
            state_dict: As MMEngine's strategy saved it.
        """
        own = FullyShardedDataParallel.optim_state_dict_to_load(
            self.model, self.optim_wrapper.optimizer, state_dict
        )
        self.optim_wrapper.load_state_dict(own)


@FUNCTIONS.register_module()
def shard_blocks(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """Make each block a unit: its weights are gathered when it runs, and given up behind it.

    Args:
        module: A module of the model.
        recurse: Whether the question is to look inside it, which is always worth it.
        nonwrapped_numel: Number of its parameters that are in no unit yet.
    """
    return recurse or isinstance(module, Block)


def fit_to_flexible_runner(cfg: Config, *, on_cpu: bool) -> None:
    """Fit a config to ``FlexibleRunner``, if it asks for one.

    Args:
        cfg: The config, changed in place. Loop and CheckpointHook become MMEngine's, because that
            runner takes loaders of PyTorch's own class alone, and counts epochs while it saves. So
            a run that is resumed begins with a whole epoch and with other random numbers, and no
            best checkpoint is kept beside the regular ones.
        on_cpu: Whether the processes have no GPUs, whose numbers FSDP would be given.
    """
    if type_name(cfg.get("runner_type")) != "FlexibleRunner":
        return
    kind = cfg.get("train_cfg", {}).get("type")
    if isinstance(kind, str):
        cfg.train_cfg.type = kind.removeprefix("mmvan.")
    saving = cfg.get("default_hooks", {}).get("checkpoint")
    if saving and saving.get("type") == "mmvan.CheckpointHook":
        saving.type = "CheckpointHook"
        # A new best score has the last checkpoint written again, by then as of the next epoch.
        for option in ("on_write_error", "save_best"):
            saving.pop(option, None)
    strategy: Any = cfg.get("strategy")
    if on_cpu and strategy and type_name(strategy) == "FSDPStrategy":
        strategy.model_wrapper = {
            "type": "MMFullyShardedDataParallel",
            **(strategy.get("model_wrapper") or {}),
            "device_id": "cpu",
        }
        if strategy.get("state_dict_cfg") == "full":
            strategy.state_dict_cfg = _FULL_ON_CPU
