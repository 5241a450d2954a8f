"""The processes of one run: who this one is, and how they talk to each other without a GPU."""

import atexit
import os
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mmengine.config import Config

from mmvan.errors import ConfigError
from mmvan.type_name import type_name

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
_SYNC_BATCH_NORMS = ("SyncBN", "MMSyncBN", "SyncBatchNorm")
# rank, rank on the node, number of processes, number on the node (where the launcher tells it).
_VARIABLES = {
    "pytorch": ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    "slurm": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", ""),
    "mpi": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
}


@dataclass(frozen=True)
class Processes:
    """One process among those of a run.

    Args:
        launcher: What started them, one of :data:`LAUNCHERS`.
        rank: This process, from 0 over all nodes.
        local_rank: This process, from 0 on its node.
        world_size: All processes.
        local_size: Processes on this node; at least ``local_rank + 1`` where the launcher does not
            tell.
    """

    launcher: str = "none"
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    local_size: int = 1

    @property
    def distributed(self) -> bool:
        """Whether the Runner will wrap the model; also true for one process under a launcher."""
        return self.launcher != "none"

    def announce(self, message: str) -> None:
        """Print a message once, not once per process."""
        if self.rank == 0:
            print(message, flush=True)


def read_processes(launcher: str) -> Processes:
    """Read from the environment which process this one is.

    It also sets ``LOCAL_RANK``, from which MMEngine takes the GPU of a process.

    Args:
        launcher: One of :data:`LAUNCHERS`.

    Returns:
        Processes: This process among the others.

    Raises:
        ConfigError: The environment belongs to another launcher.
    """
    if launcher == "none":
        _refuse_silent_copies()
        return Processes()
    rank, local_rank, world_size, local_size = _VARIABLES[launcher]
    missing = [name for name in (rank, local_rank, world_size) if name not in os.environ]
    if missing:
        raise ConfigError(
            f"--launcher {launcher}: {', '.join(missing)} not set, so {_starter(launcher)} did not "
            "start this process. Use tools/dist_train.sh, tools/slurm_train.sh, or --launcher none."
        )
    os.environ["LOCAL_RANK"] = os.environ[local_rank]
    local = int(os.environ[local_rank])
    return Processes(
        launcher=launcher,
        rank=int(os.environ[rank]),
        local_rank=local,
        world_size=int(os.environ[world_size]),
        local_size=int(os.environ.get(local_size, local + 1)),
    )


def start_gloo(cfg: Config, processes: Processes) -> None:
    """Connect the processes of a run on CPU.

    MMEngine's own start selects a CUDA device in every process. It leaves a process group alone
    that is already there.

    Args:
        cfg: The config; the timeout in ``env_cfg.dist_cfg`` (seconds) is honoured.
        processes: This process; its launcher is not ``none``.

    Raises:
        ConfigError: MPI processes on several nodes do not know where the first one is.
    """
    import torch.distributed as dist

    if processes.launcher != "pytorch":
        os.environ["RANK"] = str(processes.rank)
        os.environ["WORLD_SIZE"] = str(processes.world_size)
        os.environ.setdefault("MASTER_ADDR", _first_host(processes))
        os.environ.setdefault("MASTER_PORT", "29500")
    seconds = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout")
    dist.init_process_group("gloo", timeout=timedelta(seconds=seconds) if seconds else None)
    # A group whose threads still live when the interpreter goes can abort a run that succeeded.
    atexit.register(_end_group)


def _end_group() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def use_cpu_data_parallel(cfg: Config) -> None:
    """Make the Runner average gradients over gloo instead of NCCL.

    Args:
        cfg: The config, changed in place: the backend, and the wrapper of the model. MMEngine's
            default wrapper hands DistributedDataParallel a GPU number.
    """
    env_cfg = cfg.get("env_cfg") or {}
    cfg.env_cfg = {**env_cfg, "dist_cfg": {**env_cfg.get("dist_cfg", {}), "backend": "gloo"}}
    cfg.model_wrapper_cfg = {
        "type": "MMDistributedDataParallel",
        # Plain BatchNorm has statistics per process; the saved ones are to be everybody's.
        "broadcast_buffers": True,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
        **(cfg.get("model_wrapper_cfg") or {}),
        "device_ids": None,
    }


def use_plain_batch_norm(cfg: Config) -> int:
    """Replace synchronised batch norm, which needs several GPU processes, by the plain one.

    Both have the same parameters, so checkpoints fit either way.

    Args:
        cfg: The config, changed in place.

    Returns:
        int: How many layers' settings were replaced.
    """
    converted = int(cfg.get("sync_bn") is not None)
    if converted:
        cfg.sync_bn = None
    return converted + sum(_replace_norms(cfg.get(key)) for key in ("model", "tta_model"))


def _replace_norms(node: Any) -> int:
    if isinstance(node, (list, tuple)):
        return sum(_replace_norms(child) for child in node)
    if not isinstance(node, dict):
        return 0
    found = type_name(node) in _SYNC_BATCH_NORMS
    if found:
        node["type"] = "BN"
    return int(found) + sum(_replace_norms(child) for child in node.values())


def _refuse_silent_copies() -> None:
    """Stop N processes that would each train the whole model and write the same files."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ:
        raise ConfigError(
            f"--launcher none, but torchrun started {os.environ['WORLD_SIZE']} processes. "
            "Add --launcher pytorch, or use tools/dist_train.sh, which does."
        )


def _starter(launcher: str) -> str:
    return {"pytorch": "torchrun", "slurm": "srun", "mpi": "mpirun"}[launcher]


def _first_host(processes: Processes) -> str:
    if processes.world_size == processes.local_size:
        return "127.0.0.1"
    if processes.launcher == "mpi":
        raise ConfigError(
            "--launcher mpi on several nodes: set MASTER_ADDR to the host name of the first one."
        )
    hosts = subprocess.run(
        ["scontrol", "show", "hostnames", os.environ["SLURM_NODELIST"]],
        capture_output=True,
        text=True,
        check=True,
    )
    return hosts.stdout.split()[0]
