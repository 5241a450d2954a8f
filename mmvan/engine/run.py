"""What training and testing share: common options, preparation in order, and the Runner."""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.checkpoint.schemes import use_safe_loaders
from mmvan.data.check import check_datasets
from mmvan.engine.batch import batch_of, describe_batch, divide_base_batch, loader_batch_size
from mmvan.engine.config import task_of
from mmvan.engine.device import check_gpu_count
from mmvan.engine.forks import fork_at_rest
from mmvan.engine.options import add_cfg_options, add_device
from mmvan.engine.processes import (
    LAUNCHERS,
    Processes,
    start_gloo,
    use_cpu_data_parallel,
    use_plain_batch_norm,
)
from mmvan.engine.sharding import fit_to_flexible_runner
from mmvan.errors import ConfigError
from mmvan.type_name import type_name


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that training and testing share."""
    add = parser.add_argument
    add("config", help="config file")
    add("--work-dir", help="where logs and checkpoints go (default: work_dirs/<config name>)")
    add_cfg_options(parser)
    add_device(parser)
    add("--launcher", choices=LAUNCHERS, default="none", help="what started the processes")
    add(
        "--no-tune",
        action="store_true",
        help="do not measure, the first time on a device, which operators are fastest (60 s at "
        "most; MMVAN_TUNE=0 does the same)",
    )
    add("--skip-data-check", action="store_true", help="do not look at the datasets beforehand")
    add(
        "--unsafe",
        action="store_true",
        help="read checkpoints without the safety check: for your own files that hold more than "
        "weights; they can execute any code",
    )
    # torch.distributed.launch, which `mim train` calls, passes it; LOCAL_RANK says the same.
    add("--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS)


def set_work_dir(cfg: Config, requested: str | None) -> None:
    """Choose the work directory and make sure that it can be written to.

    Args:
        cfg: The config, changed in place.
        requested: ``--work-dir``; by default the config's own, or ``work_dirs/<config name>``.

    Raises:
        ConfigError: The directory cannot be created or written to.
    """
    name = Path(cfg.filename).stem
    cfg.work_dir = requested or cfg.get("work_dir") or str(Path("work_dirs", name))
    try:
        Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
        writable = os.access(cfg.work_dir, os.W_OK)
    except OSError as error:
        raise ConfigError(f"--work-dir {cfg.work_dir} cannot be created: {error}") from error
    if not writable:
        raise ConfigError(f"--work-dir {cfg.work_dir} cannot be written to by this user")


def tune_operators(cfg: Config) -> None:
    """Let a run choose its operators by what is fastest on its device.

    Args:
        cfg: The config, changed in place; one that names the hook itself keeps its own.
    """
    hooks = list(cfg.get("custom_hooks") or [])
    if not any(type_name(hook) == "TuneHook" for hook in hooks):
        cfg.custom_hooks = [*hooks, {"type": "mmvan.TuneHook"}]


def prepare(
    cfg: Config, processes: Processes, device: str, *, training: bool, check_data: bool
) -> None:
    """Check the data, fit the config to the device, say what will run, and connect the processes.

    From here on the process reads checkpoints safely, in every layout.

    Args:
        cfg: The config, changed in place.
        processes: This process among the others.
        device: The type of the device in use.
        training: Whether the training and validation loaders will be used, or the test loader.
        check_data: Whether to look at their datasets beforehand.

    Raises:
        DeviceError: There are fewer GPUs than processes.
        DataError: A dataset is missing or damaged. Only process 0 looks; the launcher ends the
            others, which wait for it in the first collective operation.
    """
    cfg.launcher = processes.launcher
    use_safe_loaders()
    cfg.default_hooks = {
        "batch_norm": {"type": "mmvan.BatchNormCheckHook"},
        "rehearsal": {"type": "mmvan.RehearsalHook"},
        "resumed_schedule": {"type": "mmvan.ResumedScheduleHook"},
        **(cfg.get("default_hooks") or {}),
        "adapt_checkpoint": {"type": "mmvan.AdaptCheckpointHook"},
    }
    on_cpu = device == "cpu"
    if processes.distributed:
        fork_at_rest()
    if device == "cuda":
        check_gpu_count(processes.local_rank, processes.local_size)
    if check_data and processes.rank == 0:
        check_datasets(cfg, ("train", "val") if training else ("test",))
    _stack_images_when_loading(cfg)
    converted = 0 if processes.distributed and not on_cpu else use_plain_batch_norm(cfg)
    if converted:
        processes.announce(f"SyncBN needs several GPU processes: {converted} settings became BN")
    processes.announce(start_line(cfg, processes, device, training=training))
    fit_to_flexible_runner(cfg, on_cpu=on_cpu)
    if training:
        divide_base_batch(cfg, batch_of(cfg, processes).accumulation)
    if on_cpu and processes.distributed:
        use_cpu_data_parallel(cfg)
        start_gloo(cfg, processes)


def build_runner(cfg: Config) -> Any:
    """Build the Runner, or the config's own ``runner_type``.

    Args:
        cfg: The prepared config.

    Returns:
        mmengine.runner.Runner: The runner.
    """
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    _log_into_the_same(runner.logger)
    return runner


def start_line(cfg: Config, processes: Processes, device: str, *, training: bool) -> str:
    """One line with all that decides what a run computes and how fast.

    Args:
        cfg: The prepared config.
        processes: This process among the others.
        device: The type of the device in use.
        training: Whether to state the training batch and learning rate, or the test batch.

    Returns:
        str: Task, config, processes x device, backend, batch, and how batch and learning rate
        compare with the recipe.
    """
    parts = [
        f"{'train' if training else 'test'} {task_of(cfg)}",
        str(cfg.filename),
        f"{processes.world_size} x {device}{_backend(processes, device)}",
    ]
    if training:
        return " | ".join(parts + describe_batch(batch_of(cfg, processes), cfg, device))
    batch = loader_batch_size(cfg.test_dataloader)
    total = batch * processes.world_size
    return " | ".join([*parts, f"batch {batch} x {processes.world_size} = {total}"])


def _log_into_the_same(log: logging.Logger) -> None:
    """Let what mmvan's parts say, such as which operators run, appear in the run's log."""
    own = logging.getLogger("mmvan")
    own.setLevel(logging.INFO)
    own.handlers = list(log.handlers)


def _backend(processes: Processes, device: str) -> str:
    backend = {"cpu": "gloo", "cuda": "nccl"}.get(device)
    parts = []
    if device == "cpu":
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
        parts.append("GPUs hidden" if hidden else "no GPU found")
    if processes.distributed:
        parts.append(f"connected by {backend}")
    return f" ({', '.join(parts)})" if parts else ""


def _stack_images_when_loading(cfg: Config) -> None:
    """Give mmpretrain's loaders the collate function that its own tools add to every config."""
    if task_of(cfg) != "classification":
        return
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if cfg.get(name):
            cfg[name].setdefault("collate_fn", {"type": "default_collate"})
