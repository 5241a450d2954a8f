"""Ending a run in order when a signal asks for it: all processes together, with a checkpoint."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import EMAHook, Hook

from mmvan.engine.signals import STATUSES, STOP_SIGNALS
from mmvan.registry import HOOKS

# srun --kill-on-bad-exit ends everybody, with another status, when the first task fails: the others
# leave before process 0.
_SLURM_GRACE_SECONDS = 5.0
_PENDING = "validation_pending"


@HOOKS.register_module()
class SignalHook(Hook):
    """Write a checkpoint and end the run when a signal asks for it, all processes together.

    SIGTERM, SIGUSR1 and Ctrl-C act at the end of the iteration that they arrive in, of training or
    of validation. The run ends with status 143, 75 or 130; launchers start it again after 75,
    :data:`mmvan.engine.signals.REQUEUE_STATUS`. A validation that was cut off is done when the run
    is resumed.

    Processes agree by the maximum of what each of them received, reduced every ``interval``
    iterations: on GPUs that waits for the GPU, so that it is not done in each.

    ``tools/train.py`` adds this hook to every run.

    Args:
        interval: Iterations between agreements; by default 1 on CPUs and for one process, else 10.
    """

    priority = "LOWEST"  # After the hooks that make the iteration complete, and its checkpoint.

    def __init__(self, interval: int | None = None) -> None:
        self.interval = interval
        self._installed = False
        self._validation_pending = False
        self._in_validation = False
        self._equal_lengths = False

    def before_train(self, runner: Any) -> None:
        """Take signals from now on, and do the validation that the resumed run owes."""
        self._installed = STOP_SIGNALS.install()
        STOP_SIGNALS.deferred = True
        # Loops that continue exactly do it themselves.
        own = not hasattr(runner.train_loop, "validation_is_due")
        if own and self._validation_pending and runner.val_loop is not None:
            runner.logger.info("The validation that the last run was stopped in is done now")
            runner.val_loop.run()
        self._validation_pending = False

    def after_train(self, runner: Any) -> None:
        """Leave the signals to who had them before; end now if one came with the last iteration."""
        received = STOP_SIGNALS.received
        if self._installed:
            STOP_SIGNALS.restore()
        STOP_SIGNALS.deferred = False
        if received:
            runner.logger.info(f"{received.name} arrived when the training was done")

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        """Stop if a signal came."""
        self._look(runner, runner.iter, lambda: _save(runner))

    def before_val(self, runner: Any) -> None:
        """See whether all processes will do as many iterations: only then can they agree."""
        self._in_validation = STOP_SIGNALS.deferred
        lengths = set(dist.all_gather_object(_length(runner.val_dataloader)))
        self._equal_lengths = dist.get_world_size() == 1 or (
            len(lengths) == 1 and lengths != {None}
        )

    def after_val(self, runner: Any) -> None:
        """Validation is over."""
        self._in_validation = False

    def after_val_iter(self, runner: Any, batch_idx: int, *_: Any, **__: Any) -> None:
        """Stop if a signal came while a training validates."""
        if self._in_validation and self._equal_lengths:
            self._look(runner, batch_idx, lambda: _save_in_validation(runner))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """State in a checkpoint from within a validation which one it owes."""
        if self._in_validation:
            checkpoint[_PENDING] = True

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """See whether the resumed run owes a validation."""
        self._validation_pending = bool(checkpoint.get(_PENDING)) and runner._resume

    def _look(self, runner: Any, iteration: int, save: Callable[[], None]) -> None:
        on_gpu = dist.get_world_size() > 1 and dist.get_comm_device().type != "cpu"
        if (iteration + 1) % (self.interval or (10 if on_gpu else 1)):
            return
        asked = torch.tensor(int(STOP_SIGNALS.received or 0))
        dist.all_reduce(asked, "max")
        if asked:
            reason = signal.Signals(int(asked))
            runner.logger.info(f"{reason.name}: writing a checkpoint, then the run ends")
            save()
            _leave(runner, reason)


@contextmanager
def stopping_at_signals(runner: Any) -> Iterator[None]:
    """Handle signals while a run trains; a process that has failed ends by them at once.

    Args:
        runner: MMEngine's Runner; it gets the hook unless its config has it. The workers of its
            loaders inherit the handlers, so that they must not have started.
    """
    if not any(isinstance(hook, SignalHook) for hook in runner.hooks):
        runner.register_hook(SignalHook())
    STOP_SIGNALS.install()
    try:
        yield
    finally:
        STOP_SIGNALS.restore()


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # of a stream
        return None


def _save(runner: Any) -> None:
    _save_behind(runner, runner.iter + 1)


def _save_in_validation(runner: Any) -> None:
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):  # The averaged weights are in the model's place.
            hook.after_val_epoch(runner)
    _save_behind(runner, runner.iter)


def _save_behind(runner: Any, iterations: int) -> None:
    saving = [hook for hook in runner.hooks if hasattr(hook, "save_now")]
    if saving:
        saving[0].save_now(runner, iterations)
    else:
        _save_as(runner, iterations)


def _save_as(runner: Any, iteration: int) -> None:
    """Write what MMEngine's CheckpointHook does: the file, then the pointer to it."""
    name = f"iter_{iteration}.pth"
    meta = {"epoch": runner.epoch, "iter": iteration}
    runner.save_checkpoint(runner.work_dir, name, meta=meta, by_epoch=False)
    if dist.is_main_process():
        pointer = Path(runner.work_dir, "last_checkpoint")
        pointer.write_text(str(Path(runner.work_dir, name)))


def _leave(runner: Any, reason: signal.Signals) -> None:
    """End this process when the checkpoint of all is on the disk.

    Raises:
        SystemExit: Always.
    """
    dist.barrier()
    status = STATUSES[reason]
    runner.logger.info(f"{reason.name}: the run ends with status {status}; --resume continues it")
    if runner.cfg.get("launcher") == "slurm":
        if not dist.is_main_process():
            raise SystemExit(0)
        time.sleep(_SLURM_GRACE_SECONDS)
    raise SystemExit(status)
