"""The options of ``tools/test.py`` and what each changes in a config."""

import argparse
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.checkpoint.outline import check_checkpoint
from mmvan.engine.config import innermost_dataset, task_of
from mmvan.engine.processes import Processes
from mmvan.errors import ConfigError

# How each library draws: its visualizer, its hook, the hook's switch, and the hook's directory.
_DRAWING = {
    "classification": ("UniversalVisualizer", "VisualizationHook", "enable", "out_dir"),
    "detection": ("DetLocalVisualizer", "DetVisualizationHook", "draw", "test_out_dir"),
    "segmentation": ("SegLocalVisualizer", "SegVisualizationHook", "draw", None),
}


def add_testing_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that only testing has."""
    add = parser.add_argument
    add("checkpoint", help="file or address (https://, hf://owner/name) of the weights")
    add(
        "--out",
        metavar="PATH",
        help="save the predictions: a .pkl file (classification, detection), or a directory of "
        "label maps as PNG (segmentation)",
    )
    add("--show-dir", metavar="DIR", help="draw the predictions into images in this directory")
    add(
        "--tta",
        action="store_true",
        help="test-time augmentation by the config's tta_model and tta_pipeline",
    )


def apply_testing_options(cfg: Config, args: argparse.Namespace, processes: Processes) -> None:
    """Write the testing options into the config.

    Args:
        cfg: The config, changed in place.
        args: What :func:`add_testing_options` declared.
        processes: This process among the others.

    Raises:
        ConfigError: An option does not fit the config.
        CheckpointError: The checkpoint is not one.
    """
    check_checkpoint(args.checkpoint, "CHECKPOINT")
    cfg.load_from = args.checkpoint
    cfg.resume = False
    task = task_of(cfg)
    if args.tta:
        _augment(cfg, task, args.show_dir, processes)
    if args.out:
        _save_predictions(cfg, task, args.out)
    if args.show_dir:
        _draw_predictions(cfg, task, args.show_dir)
        if processes.world_size > 1:
            processes.announce(
                "--show-dir: the libraries draw in process 0 only, so that only its share of the "
                f"images, one in {processes.world_size}, is drawn; use one process for all"
            )


def _augment(cfg: Config, task: str, show_dir: str | None, processes: Processes) -> None:
    missing = [key for key in ("tta_model", "tta_pipeline") if cfg.get(key) is None]
    if missing:
        raise ConfigError(
            f"--tta: {cfg.filename} does not set {' and '.join(missing)}. Set tta_model (such as "
            "SegTTAModel) and tta_pipeline (with TestTimeAug) in the config, or leave out --tta."
        )
    if task == "classification" and show_dir:
        raise ConfigError(
            "--tta with --show-dir: mmpretrain draws the network's input, of which there are "
            "several per image under --tta. Use one of them at a time."
        )
    if task == "detection" and _predict_boxes_only(cfg):
        processes.announce("--tta: mmdet merges boxes only; masks are not predicted nor evaluated")
    cfg.model = {**cfg.tta_model, "module": cfg.model}
    innermost_dataset(cfg.test_dataloader)["pipeline"] = deepcopy(cfg.tta_pipeline)


def _predict_boxes_only(cfg: Config) -> bool:
    """Leave out a mask branch: mmdet merges the boxes of the augmented views, never masks."""
    roi_head = cfg.model.get("roi_head") or {}
    if roi_head.get("mask_head") is None:
        return False
    roi_head["mask_head"] = roi_head["mask_roi_extractor"] = None
    for metric in _metrics(cfg):
        names = metric.get("metric")
        if isinstance(names, (list, tuple)):
            metric["metric"] = [name for name in names if name != "segm"]
        if metric.get("metric") in ("segm", []):
            raise ConfigError(
                "--tta: test_evaluator asks for masks only (metric='segm'), but mmdet's "
                "test-time augmentation merges boxes only. Leave out --tta."
            )
    return True


def _save_predictions(cfg: Config, task: str, out: str) -> None:
    path = Path(out)
    if task == "segmentation":
        if path.suffix or path.is_file():
            raise ConfigError(
                f"--out {out}: segmentation saves one PNG per image; name a directory"
            )
        for metric in _metrics(cfg):
            metric["output_dir"] = out
        return
    if path.suffix not in (".pkl", ".pickle"):
        raise ConfigError(f"--out {out}: {task} saves one file; name it with the ending .pkl")
    # mmdet's own dump compresses the masks.
    kind = "mmdet.DumpDetResults" if task == "detection" else "DumpResults"
    cfg.test_evaluator = [*_metrics(cfg), {"type": kind, "out_file_path": out}]


def _metrics(cfg: Config) -> list[Any]:
    """The settings of every metric, however the evaluator is written."""
    evaluator = cfg.test_evaluator
    if isinstance(evaluator, dict):
        evaluator = evaluator.get("metrics", evaluator)
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def _draw_predictions(cfg: Config, task: str, show_dir: str) -> None:
    # mmdet puts a relative directory into the work directory, once more for each batch.
    folder = str(Path(show_dir).resolve())
    visualizer, hook, switch, folder_key = _DRAWING[task]
    cfg.visualizer = {"type": visualizer, **(cfg.get("visualizer") or {})}
    hooks = cfg.get("default_hooks") or {}
    settings = {"type": hook, **(hooks.get("visualization") or {}), switch: True, "interval": 1}
    if folder_key:
        settings[folder_key] = folder
    else:  # mmseg's hook has no directory of its own
        cfg.visualizer.update(vis_backends=[{"type": "LocalVisBackend"}], save_dir=folder)
    cfg.default_hooks = {**hooks, "visualization": settings}
