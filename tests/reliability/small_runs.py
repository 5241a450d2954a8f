"""Small versions of the sample configs, run by ``tools/train.py`` in processes that can be killed.

The processes are forked from one that has imported the frameworks, so that a run of a few seconds
is not preceded by ten seconds of imports. What they do is otherwise what the command does.
"""

import enum
import gc
import mmap
import os
import runpy
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import mmengine.config.config
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS

from mmvan.data.sample import prepare

ROOT = Path(__file__).resolve().parents[2]
# What a run imports, in its own time or before its process is forked.
_IMPORTED = (
    *("mmpretrain.models", "mmdet.models", "mmseg.models", "mmvan.engine.training"),
    *("mmvan.engine.bad_data", "mmvan.engine.checkpoint_hook", "mmvan.engine.loops"),
    *("mmvan.engine.nan_guard", "mmvan.engine.run"),
)
TASKS = ("classification", "detection", "segmentation")
_SAMPLE_CONFIGS = {
    "classification": "classification/van_t_in1k_sample.py",
    "detection": "detection/van_t_maskrcnn_sample.py",
    "segmentation": "segmentation/van_t_fpn_sample.py",
}
# Training and validation images; of each of ten classes for classification.
_DATASETS = {"cls": (2, 1), "det": (8, 2), "seg": (10, 2)}
_SCALE = (112, 96)  # Of the images of detection and segmentation.
_ARCH = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "ffn_ratios": [2, 2, 2, 2]}
_SHARED: dict[str, Any] = {
    "model.backbone.arch": {"_delete_": True, **_ARCH},
    "model.backbone.drop_path_rate": 0.2,  # Draws random numbers in every step.
    "model.backbone.init_cfg": None,
    # Saves in the middle of epochs and of validation intervals, too.
    "default_hooks.checkpoint.by_epoch": False,
    "default_hooks.checkpoint.interval": 3,
    "default_hooks.checkpoint.max_keep_ckpts": 2,
    "default_hooks.logger.interval": 1,
    "randomness": {"seed": 7},
    # Several batches per step, an average of the weights, and a hook that counts evaluations.
    "optim_wrapper.accumulative_counts": 2,
}
_OF_TASK: dict[str, dict[str, Any]] = {
    "classification": {
        "model.head.in_channels": 32,
        "train_dataloader.batch_size": 2,
        "train_cfg.max_epochs": 2,
        "train_cfg.val_interval": 1,
        "default_hooks.checkpoint.save_best": "accuracy/top1",
    },
    "detection": {
        "model.neck.in_channels": [8, 16, 24, 32],
        "model.neck.out_channels": 16,
        "model.train_cfg.rpn_proposal.nms_pre": 100,
        "model.test_cfg.rpn.nms_pre": 100,
        "model.rpn_head.in_channels": 16,
        "model.rpn_head.feat_channels": 16,
        "model.roi_head.bbox_roi_extractor.out_channels": 16,
        "model.roi_head.bbox_head.in_channels": 16,
        "model.roi_head.bbox_head.fc_out_channels": 32,
        "model.roi_head.mask_roi_extractor.out_channels": 16,
        "model.roi_head.mask_head.in_channels": 16,
        "model.roi_head.mask_head.conv_out_channels": 16,
        "train_cfg.max_epochs": 2,
        "train_dataloader.batch_size": 1,
        "default_hooks.checkpoint.save_best": "coco/bbox_mAP",
    },
    "segmentation": {
        "model.neck.in_channels": [8, 16, 24, 32],
        "model.neck.out_channels": 16,
        "model.decode_head.in_channels": [16] * 4,
        "model.decode_head.channels": 16,
        "train_dataloader.batch_size": 1,
        "model.data_preprocessor.size": (80, 80),
        "train_dataloader.dataset.pipeline.3.crop_size": (80, 80),
        "train_cfg.max_iters": 16,
        "train_cfg.val_interval": 8,
        "default_hooks.checkpoint.save_best": "mIoU",
    },
}
_CHECKPOINT_HOOKS = {True: "mmvan.CheckpointHook", False: "CheckpointHook"}
# What the clock decides, and the names of the work directory.
_NOT_COMPARED = ("time", "data_time", "memory", "eta")


class Phase(enum.IntEnum):
    """What a process is doing."""

    STARTING = 0
    LOADING = 1
    STEP = 2
    WRITING = 3
    VALIDATION = 4
    ENDING = 5


# Names the iteration behind which a process kills itself, for cuts at a place that is known.
KILLED_AFTER = "SMALL_RUN_KILLED_AFTER"
# Phase and iteration of each rank, shared with the processes that are forked.
_MOMENT = struct.Struct("ii")
_moments = mmap.mmap(-1, 8 * _MOMENT.size)


@HOOKS.register_module()
class TellPhaseHook(Hook):
    """Tells the process that watches what this one is doing."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.last = int(os.environ.get(KILLED_AFTER, "-1"))
        self.iteration = 0

    def _tell(self, phase: Phase) -> None:
        rank = int(os.environ.get("RANK", "0"))
        _MOMENT.pack_into(_moments, rank * _MOMENT.size, phase, self.iteration)

    def before_train(self, runner: Any) -> None:
        self.iteration = runner.iter
        self._tell(Phase.LOADING)

    def before_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        self._tell(Phase.STEP)

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        if runner.iter + 1 == self.last:
            os.killpg(0, signal.SIGKILL)
        self.iteration = runner.iter + 1
        self._tell(Phase.LOADING)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        self._tell(Phase.WRITING)

    def after_train_epoch(self, runner: Any) -> None:
        self._tell(Phase.LOADING)

    def before_val(self, runner: Any) -> None:
        self._tell(Phase.VALIDATION)

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self._tell(Phase.VALIDATION)

    def after_val(self, runner: Any) -> None:
        self._tell(Phase.LOADING)

    def after_train(self, runner: Any) -> None:
        self._tell(Phase.ENDING)


@HOOKS.register_module()
class RecordImagesHook(Hook):
    """Writes the names of each batch's images into ``had_<rank>.txt``."""

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        file = Path(runner.work_dir, f"had_{os.environ.get('RANK', '0')}.txt")
        with file.open("a") as stream:
            for sample in data_batch["data_samples"]:
                name = Path(sample.metainfo["img_path"]).name
                stream.write(f"{runner.epoch} {runner.iter} {name}\n")


def make_datasets(folder: Path) -> None:
    """Draw the images of all three tasks."""
    for name, counts in _DATASETS.items():
        prepare(folder, name, 0, counts)


def write_config(
    task: str,
    file: Path,
    data: Path,
    *,
    workers: int = 0,
    ours: bool = True,
    records: bool = False,
    **options: Any,
) -> Path:
    """Write a small version of a task's sample config.

    Args:
        task: One of ``TASKS``.
        file: The config to write.
        data: What :func:`make_datasets` made.
        workers: Processes of each loader.
        ours: With mmvan's hooks and loops, or with MMEngine's own.
        records: Whether the run writes down the images of each batch.
        **options: Further settings, ``__`` for the dot in their names.
    """
    cfg = Config.fromfile(ROOT / "configs" / _SAMPLE_CONFIGS[task])
    cfg.merge_from_dict(_SHARED)
    cfg.merge_from_dict(_OF_TASK[task])
    cfg.merge_from_dict({name.replace("__", "."): value for name, value in options.items()})
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.num_workers = workers
        loader.persistent_workers = workers > 0
    for dataset in (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset):
        for transform in dataset.pipeline:
            if transform.type in ("Resize", "RandomResize"):
                transform.scale = _SCALE
    cfg.default_hooks.checkpoint.type = _CHECKPOINT_HOOKS[ours]
    loop = "EpochBasedTrainLoop" if "max_epochs" in cfg.train_cfg else "IterBasedTrainLoop"
    cfg.train_cfg.pop("by_epoch", None)
    cfg.train_cfg.type = f"mmvan.{loop}" if ours else loop
    average = {"type": "EMAHook", "momentum": 0.1, "update_buffers": True}
    stop = {
        "type": "EarlyStoppingHook",
        "monitor": cfg.default_hooks.checkpoint.save_best,
        "patience": 50,
    }
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), average, stop, {"type": "TellPhaseHook"}]
    if records:
        cfg.custom_hooks.append({"type": "RecordImagesHook"})
    file.write_text(cfg.pretty_text.replace("data/sample", str(data)))
    return file


@dataclass
class Run:
    """The processes of one training.

    Args:
        config: What :func:`write_config` wrote.
        work_dir: Where it saves.
        ranks: How many processes train together.
        options: Of ``tools/train.py``.
        pids: The processes that run.
    """

    config: Path
    work_dir: Path
    ranks: int = 1
    options: tuple[str, ...] = ("--resume",)
    pids: list[int] = field(default_factory=list)

    def start(self, environment: Mapping[str, str] | None = None) -> "Run":
        """Start the processes, with some variables in their environment."""
        for name in _IMPORTED:
            import_module(name)
        gc.freeze()  # Or each of them looks through all that was imported, and copies it.
        self.work_dir.mkdir(parents=True, exist_ok=True)
        _moments[:] = bytes(len(_moments))
        port = str(_free_port())
        self.pids = [self._fork(rank, port, environment or {}) for rank in range(self.ranks)]
        return self

    def cut(self, iteration: int) -> None:
        """Run until behind some iteration, and be killed there."""
        self.start({KILLED_AFTER: str(iteration)})
        for pid in self.pids:
            status = os.waitpid(pid, 0)[1]
            if status != signal.SIGKILL:
                raise RuntimeError(f"not killed: status {status}\n{self.output()[-3000:]}")
        self.pids.clear()

    def phase(self, rank: int = 0) -> Phase:
        """What a process was doing last."""
        return Phase(_MOMENT.unpack_from(_moments, rank * _MOMENT.size)[0])

    def iteration(self, rank: int = 0) -> int:
        """How many iterations are behind it."""
        return int(_MOMENT.unpack_from(_moments, rank * _MOMENT.size)[1])

    def ended(self) -> bool:
        """Whether all processes have ended well.

        Raises:
            RuntimeError: One of them failed; the message holds the end of its output.
        """
        for pid in list(self.pids):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.pids.remove(pid)
                if status:
                    self.kill()
                    raise RuntimeError(f"status {status}\n{self.output()[-3000:]}")
        return not self.pids

    def wait(self, seconds: float = 300) -> None:
        """Wait for the end."""
        limit = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > limit:
                self.kill()
                raise RuntimeError(f"not done in {seconds} s\n{self.output()[-3000:]}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill every process with its loader workers, as a power cut would."""
        for pid in self.pids:
            os.killpg(pid, signal.SIGKILL)
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.pids.clear()

    def output(self) -> str:
        """What the processes have written to their standard output and error."""
        return "".join(file.read_text() for file in sorted(self.work_dir.glob("rank_*.txt")))

    def _fork(self, rank: int, port: str, environment: Mapping[str, str]) -> int:
        pid = os.fork()
        if pid:
            os.setpgid(pid, pid)
            return pid
        os.setpgid(0, 0)
        status = 1
        try:
            os.environ.update(environment)
            self._become_train_command(rank, port)
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException:  # noqa: BLE001 - the child ends here, whatever happened.
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _become_train_command(self, rank: int, port: str) -> None:
        output = os.open(
            self.work_dir / f"rank_{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        torch.set_num_threads(1)
        # Indenting the config takes a second of each start and of each checkpoint.
        mmengine.config.config.FormatCode = lambda text, **_: (text, False)
        launcher: tuple[str, ...] = ()
        if self.ranks > 1:
            launcher = ("--launcher", "pytorch")
            os.environ.update(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(self.ranks),
                LOCAL_WORLD_SIZE=str(self.ranks),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=port,
            )
        script = str(ROOT / "tools" / "train.py")
        sys.argv = [
            *(script, str(self.config), "--work-dir", str(self.work_dir), "--device", "cpu"),
            *("--skip-data-check", *launcher, *self.options),
        ]
        runpy.run_path(script, run_name="__main__")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def saved_iterations(work_dir: Path) -> dict[int, Path]:
    """The checkpoints that can be resumed, by their iteration; unreadable ones raise."""
    return {
        int(_load(file)["meta"]["iter"]): file
        for file in work_dir.glob("*.pth")
        if not file.name.startswith("best_")
    }


def final_state(work_dir: Path) -> dict[str, Any]:
    """All values of the last checkpoint that are to be equal, by their place in it."""
    saved = saved_iterations(work_dir)
    return dict(_values(_load(saved[max(saved)])))


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The places where two states differ in any bit."""
    names = sorted({*found, *expected})
    return [
        name
        for name in names
        if name not in found or name not in expected or not _equal(found[name], expected[name])
    ]


def _load(file: Path) -> dict[str, Any]:
    return torch.load(file, map_location="cpu", weights_only=True)


def _values(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if place.rpartition("/")[2] in _NOT_COMPARED or place in ("/meta", "/message_hub/runtime_info"):
        return
    if isinstance(node, HistoryBuffer):
        node = node.data
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _values(child, f"{place}/{key}")
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _values(child, f"{place}/{index}")
    else:
        yield place, node


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        one, other = one.numpy(), other.numpy()
    if isinstance(one, np.ndarray):
        same = (one.dtype, one.shape) == (other.dtype, other.shape)
        return same and one.tobytes() == other.tobytes()
    return bool(one == other) or (one != one and other != other)
