"""What a training starts from: a checkpoint to continue, or weights; and the schedule then."""

from mmengine.config import Config

from mmvan.checkpoint.outline import check_checkpoint
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.engine.latest import latest_checkpoint
from mmvan.engine.processes import Processes
from mmvan.engine.schedules import stretch
from mmvan.errors import CheckpointError, ConfigError

AUTO_RESUME = "auto"


def continue_run(
    cfg: Config, source: str | None, stretch_schedule: bool, processes: Processes
) -> None:
    """Set what the run starts from, and check that it is a checkpoint.

    Args:
        cfg: The config, with its ``work_dir``; changed in place.
        source: ``--resume``: a checkpoint, :data:`AUTO_RESUME` for the latest, or None.
        stretch_schedule: Whether the config's schedules are to reach to a new end.
        processes: This process among the others.

    Raises:
        ConfigError: There is a scheduler that cannot be stretched, or nothing is continued.
        CheckpointError: What is named is not a checkpoint.
    """
    if stretch_schedule and source is None:
        raise ConfigError("--stretch-schedule is for a run that is continued: add --resume")
    if source == AUTO_RESUME:
        source = latest_checkpoint(cfg.work_dir)
        if source is None:
            processes.announce(f"--resume: {cfg.work_dir} has no checkpoint yet; starting anew")
            return
    if source is not None:
        check_checkpoint(source, "--resume")
        cfg.resume, cfg.load_from = True, source
        if stretch_schedule:
            _stretch(cfg, source)
    elif cfg.get("load_from"):
        check_checkpoint(cfg.load_from, "load_from")


def _stretch(cfg: Config, source: str) -> None:
    """Fit the schedules, where the end is another one than the checkpoint's run was to have.

    A run that was stretched and is continued once more has the stretched ones in its checkpoint.
    """
    if "://" in source:
        raise ConfigError(f"--stretch-schedule: {source} is not a file; download it first")
    try:
        before = read_checkpoint(source)["message_hub"]["runtime_info"]
        old = {key: before[key] for key in ("max_epochs", "max_iters")}
    except KeyError as error:
        raise CheckpointError(
            f"--stretch-schedule: {source} does not say how long its run was to be ({error} is "
            "missing). Write the longer schedule into a config and start from the weights: "
            "--cfg-options load_from=FILE"
        ) from error
    key = next(key for key in old if key in cfg.train_cfg)
    factor = cfg.train_cfg[key] / old[key]
    if factor != 1:
        epochs, iterations = ((length, round(length * factor)) for length in old.values())
        stretch(cfg, epochs, iterations)
        hook = {"type": "mmvan.ResumedScheduleHook", "follow": "config"}
        cfg.default_hooks = {**(cfg.get("default_hooks") or {}), "resumed_schedule": hook}
