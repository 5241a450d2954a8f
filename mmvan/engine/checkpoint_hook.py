"""Checkpoints that a killed run, a full disk or a power cut cannot take away."""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from mmvan.engine.latest import latest_checkpoint
from mmvan.engine.run_state import RunState
from mmvan.engine.storage import BACKEND, AtomicLocalBackend, remove_orphans, write_atomically
from mmvan.errors import ConfigError
from mmvan.registry import HOOKS

_RUN_STATE = "mmvan_run_state"
_BOOKS = ("last_ckpt", "keep_ckpt_ids")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """MMEngine's CheckpointHook, crash-safe, with all that an exact resume needs.

    A checkpoint gets its name when all of it is on the disk; ``last_checkpoint`` names it after
    that; only then are older ones and a former best one removed. What processes that were killed
    left unfinished is removed when a training starts. The checkpoint also holds what MMEngine
    leaves out, see :class:`mmvan.engine.run_state.RunState`; ``mmvan.EpochBasedTrainLoop`` and
    ``mmvan.IterBasedTrainLoop`` continue from it as if nothing had happened.

    Files in a storage other than the local disk are written as that storage does it.

    Args:
        on_write_error: What follows when the disk is full or cannot be written to. ``continue``
            keeps the earlier checkpoints, says so in the log and trains on; ``stop`` ends the run.
        **options: As for MMEngine's hook.

    Raises:
        ConfigError: ``on_write_error`` has another value.
        OSError: A checkpoint cannot be written, with ``on_write_error="stop"``.
    """

    def __init__(
        self, *args: Any, on_write_error: Literal["continue", "stop"] = "continue", **options: Any
    ) -> None:
        if on_write_error not in ("continue", "stop"):
            raise ConfigError(
                f"CheckpointHook: on_write_error must be continue or stop, got {on_write_error!r}"
            )
        super().__init__(*args, **options)
        self.on_write_error = on_write_error
        self._state = RunState()
        self._saves_best = self._validated = False
        self._after_validation: tuple[int, dict[str, Any]] | None = None

    def before_run(self, runner: Runner) -> None:
        """Let a run that resumes by itself take the newest checkpoint whose checksums hold.

        ``tools/train.py`` has looked for it already; MMEngine goes by ``last_checkpoint``, which it
        does not write atomically.
        """
        if runner._resume and runner._load_from is None:
            runner._load_from = latest_checkpoint(runner.work_dir)

    def before_train(self, runner: Runner) -> None:
        """Choose the storage, clear away what was left unfinished, and restore a resumed run."""
        super().before_train(runner)
        if type(self.file_backend) is LocalBackend and self.file_client_args is None:
            self.backend_args = {"backend": BACKEND}
            self.file_backend: Any = AtomicLocalBackend()
            if is_main_process():
                for name in remove_orphans(Path(self.out_dir)):
                    runner.logger.info(f"{name} was not finished by a run that ended; removed")
        if runner.iter and self._state.loaded is not None:
            self._take_up(runner, self._state.loaded)
        self._state.restore(runner)

    def continue_data(self, runner: Runner) -> None:
        """Tell the loop what of the data others have had; this package's loops ask for it."""
        self._state.continue_data(runner)

    def _take_up(self, runner: Runner, loaded: Mapping[str, Any]) -> None:
        """Do what was to follow the checkpoint that is resumed, and know it as the last one."""
        last = runner.message_hub.get_info("last_ckpt", None)
        if last is not None:
            self.last_ckpt = self.file_backend.join_path(self.out_dir, Path(last).name)
        folder = Path(self.out_dir).resolve()
        if is_main_process() and Path(runner._load_from or "").resolve().parent == folder:
            for name in loaded.get("removes", ()):
                (folder / name).unlink(missing_ok=True)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add what MMEngine leaves out."""
        self._state.add_position(runner, checkpoint["meta"])
        self._state.add_validation(runner, self._validated)
        if isinstance(self.file_backend, AtomicLocalBackend):
            self._state.gathered["removes"] = self.file_backend.to_be_removed
        checkpoint[_RUN_STATE] = self._state.gathered

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep it until the training begins."""
        self._state.loaded = checkpoint.get(_RUN_STATE)

    def save_now(self, runner: Runner, iterations: int | None = None) -> None:
        """Save where the run stands, beside the regular checkpoints; all processes call it.

        The file is left there when regular checkpoints are removed.

        Args:
            runner: The runner.
            iterations: How many are done; by default one more than ``runner.iter``, as it is in
                ``after_train_iter``.
        """
        done = runner.iter + 1 if iterations is None else iterations
        meta = {"epoch": runner.epoch, "iter": done}
        name = f"iter_{done}.pth"
        self._write(runner, lambda: self._save_as(runner, name, meta))

    def _save_as(self, runner: Runner, name: str, meta: dict[str, Any]) -> None:
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            backend_args=self.backend_args,
            **self.args,
        )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        if self._saves_best:  # The new best score is saved when all hooks know of the validation.
            self._after_validation = (step, meta)
            return
        save = super()._save_checkpoint_with_step
        self._write(runner, lambda: save(runner, step, meta))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        save = super()._save_best_checkpoint
        self._saves_best = True
        try:
            self._write(runner, lambda: save(runner, metrics))
        finally:
            self._saves_best = False

    def after_val(self, runner: Runner) -> None:
        """Save once more, with a new best score, behind a validation."""
        if self._after_validation is not None:
            step, meta = self._after_validation
            self._validated = True
            self._save_checkpoint_with_step(runner, step, meta)
            self._after_validation, self._validated = None, False

    def _write(self, runner: Runner, save: Callable[[], None]) -> None:
        """Save with the removals last, and survive a disk that cannot take it."""
        self._state.gather(runner)
        with self._keeping_what_is_there(runner), self._removing_last():
            save()
            if is_main_process() and self.last_ckpt is not None:
                # MMEngine writes it in place; a reader never sees half a name.
                write_atomically(
                    Path(runner.work_dir, "last_checkpoint"), str(self.last_ckpt).encode()
                )

    def _removing_last(self) -> Any:
        backend = self.file_backend
        if isinstance(backend, AtomicLocalBackend) and not backend.is_removing_last:
            return backend.removing_last()
        return nullcontext()

    @contextmanager
    def _keeping_what_is_there(self, runner: Runner) -> Iterator[None]:
        """Let the books say what is on the disk when a checkpoint could not be written."""
        hub = runner.message_hub
        books = {key: hub.get_info(key) for key in _BOOKS if key in hub.runtime_info}
        kept, last = getattr(self, "keep_ckpt_ids", None), self.last_ckpt
        kept = None if kept is None else kept.copy()
        try:
            yield
        except OSError as error:
            if self.on_write_error == "stop":
                raise
            self.last_ckpt = last
            if kept is not None:
                self.keep_ckpt_ids = kept
            for key, value in books.items():
                hub.update_info(key, value)
            runner.logger.error(self._describe(error, last))

    def _describe(self, error: OSError, last: str | None) -> str:
        free = ""
        if error.errno in _DISK_FULL:
            free = f" ({shutil.disk_usage(self.out_dir).free / 2**20:.0f} MiB are free)"
        kept = f"{last} is still there" if last else "there is no earlier one"
        return (
            f"the checkpoint could not be written to {self.out_dir}: {error}{free}; {kept}. The "
            "training goes on (on_write_error='stop' would end it)"
        )
