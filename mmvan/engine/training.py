"""The options of ``tools/train.py`` and what each changes in a config."""

import argparse
from typing import Any

from mmengine.config import Config

from mmvan.checkpoint.outline import check_checkpoint
from mmvan.engine.accumulation import AUTO, accumulate_gradients
from mmvan.engine.bfloat16 import bfloat16_problems, use_torchvision_roi_align
from mmvan.engine.determinism import MODES, use_deterministic_algorithms
from mmvan.engine.processes import Processes
from mmvan.engine.resume import AUTO_RESUME, continue_run
from mmvan.engine.tracking import TRACKERS, use_trackers
from mmvan.errors import ConfigError
from mmvan.type_name import type_name

# timm's default (timm.utils.ModelEmaV2), with which the paper's models were averaged.
EMA_DECAY = 0.9998
_AMP_DTYPES = {"fp16": "float16", "bf16": "bfloat16"}


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that only training has."""
    add = parser.add_argument
    add(
        "--resume",
        nargs="?",
        const=AUTO_RESUME,
        metavar="PATH",
        help="continue from PATH; without PATH from the latest checkpoint in the work directory",
    )
    add(
        "--stretch-schedule",
        action="store_true",
        help="with --resume and another end (train_cfg.max_epochs or max_iters): the schedules and "
        "the learning rate are the config's, stretched to the new end; else the checkpoint's go on",
    )
    add("--amp", choices=tuple(_AMP_DTYPES), help="mixed precision (GPU only)")
    add(
        "--ema",
        nargs="?",
        type=float,
        const=EMA_DECAY,
        metavar="DECAY",
        help=f"evaluate and save an average of the weights over time (default decay: {EMA_DECAY})",
    )
    add(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by effective batch / auto_scale_lr.base_batch_size",
    )
    add(
        "--accumulate",
        type=_number_or_auto,
        metavar="{N,auto}",
        help="sum the gradients of N batches before each step of the optimizer, with a schedule of "
        "as many steps; auto takes the N that makes the recipe's batch",
    )
    add(
        "--compile",
        action="store_true",
        help="compile the backbone with torch.compile, which takes minutes at first; meant for "
        "GPUs: on CPUs it was measured slower than without",
    )
    add("--no-validate", action="store_true", help="do not evaluate during training")
    add(
        "--tracker",
        nargs="+",
        choices=tuple(TRACKERS),
        metavar="NAME",
        help=f"also log to {', '.join(TRACKERS)} (one or several; the package must be installed)",
    )
    add("--seed", type=int, help="seed of everything random (default: drawn and logged)")
    add(
        "--deterministic",
        nargs="?",
        choices=MODES,
        const=MODES[0],
        help="equal results for equal seeds; an operator that cannot raises an error, or is named "
        "in a warning (--deterministic warn)",
    )


def apply_training_options(
    cfg: Config, args: argparse.Namespace, processes: Processes, device: str
) -> None:
    """Write the training options into the config.

    Args:
        cfg: The config, with its ``work_dir``; changed in place.
        args: What :func:`add_training_options` declared.
        processes: This process among the others.
        device: The type of the device that will be used.

    Raises:
        ConfigError: An option does not fit the config or the device.
        CheckpointError: What is to be resumed is not a checkpoint.
    """
    _check_pretrained(cfg.model, "model")
    if args.amp:
        _use_amp(cfg, args.amp)
    _check_amp(cfg, device, processes)
    if args.ema is not None:
        _average_weights(cfg, args.ema)
    if args.auto_scale_lr:
        _scale_lr(cfg)
    if args.accumulate:
        accumulate_gradients(cfg, args.accumulate, processes)
    continue_run(cfg, args.resume, args.stretch_schedule, processes)
    if args.compile:
        _compile_backbone(cfg)
    if args.tracker:
        use_trackers(cfg, args.tracker)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    _set_randomness(cfg, args.seed, args.deterministic)


def _number_or_auto(text: str) -> str:
    if text == AUTO or (text.isascii() and text.isdigit() and int(text) > 0):
        return text
    raise argparse.ArgumentTypeError(f"expected a positive number or {AUTO}, got {text!r}")


def _check_pretrained(node: Any, key: str) -> None:
    """Check the weights that parts of the model start from; MMEngine loads them after the data."""
    if isinstance(node, dict):
        if node.get("type") == "Pretrained":
            check_checkpoint(node["checkpoint"], f"{key}.checkpoint")
        for name, child in node.items():
            _check_pretrained(child, f"{key}.{name}")
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            _check_pretrained(child, f"{key}[{index}]")


def _use_amp(cfg: Config, precision: str) -> None:
    wrapper = cfg.optim_wrapper
    kind = type_name(wrapper) or "OptimWrapper"
    if kind not in ("OptimWrapper", "AmpOptimWrapper"):
        raise ConfigError(
            f"--amp {precision}: optim_wrapper.type is {kind!r}; only OptimWrapper can be replaced "
            "by AmpOptimWrapper. Set the precision in the config."
        )
    wrapper.type = "AmpOptimWrapper"
    wrapper.dtype = _AMP_DTYPES[precision]
    # bfloat16 has float32's range of exponents, so nothing underflows and no scaling is needed.
    wrapper.loss_scale = "dynamic" if precision == "fp16" else {"enabled": False}


def _check_amp(cfg: Config, device: str, processes: Processes) -> None:
    if type_name(cfg.optim_wrapper) != "AmpOptimWrapper":
        return
    if device == "cpu":
        raise ConfigError(
            "mixed precision (AmpOptimWrapper, --amp) was asked for, but this run is on the CPU, "
            "where MMEngine does not offer it. Leave out --amp; if the config itself asks for it, "
            "use one with optim_wrapper.type='OptimWrapper'."
        )
    if device == "cuda" and cfg.optim_wrapper.get("dtype") == "bfloat16":
        _check_bfloat16()
        _use_bfloat16_operators(cfg, processes)


def _use_bfloat16_operators(cfg: Config, processes: Processes) -> None:
    changed = use_torchvision_roi_align(cfg.model)
    if changed:
        processes.announce(
            f"mmcv's RoIAlign has no bfloat16 on GPUs: {changed} became torchvision's, in float32"
        )
    problems = list(bfloat16_problems(cfg.model, cfg.get("default_scope", ""), "cuda"))
    if problems:
        raise ConfigError(f"{cfg.filename}: {'; '.join(problems)}. Use --amp fp16")


def _check_bfloat16() -> None:
    import torch

    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            f"--amp bf16: {torch.cuda.get_device_name()} does not compute in bfloat16 (NVIDIA GPUs "
            "do since Ampere). Use --amp fp16."
        )


def _average_weights(cfg: Config, decay: float) -> None:
    if not 0 < decay < 1:
        raise ConfigError(f"--ema {decay}: the decay must lie between 0 and 1, such as {EMA_DECAY}")
    others = [hook for hook in cfg.get("custom_hooks") or [] if type_name(hook) != "EMAHook"]
    # MMEngine's momentum is the share of the new weights. timm averages the buffers, too.
    hook = {"type": "EMAHook", "momentum": 1 - decay, "update_buffers": True}
    cfg.custom_hooks = [*others, hook]


def _compile_backbone(cfg: Config) -> None:
    if cfg.get("compile"):
        raise ConfigError(
            f"--compile: the config compiles the whole training step (compile={cfg.compile!r}). "
            "Set compile=False by --cfg-options, or leave out --compile."
        )
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), {"type": "mmvan.CompileBackboneHook"}]


def _scale_lr(cfg: Config) -> None:
    settings = cfg.get("auto_scale_lr") or {}
    if "base_batch_size" not in settings:
        raise ConfigError(
            "--auto-scale-lr: the config does not say for which total batch its learning rate is "
            "meant. Set it: --cfg-options auto_scale_lr.base_batch_size=N"
        )
    cfg.auto_scale_lr = {**settings, "enable": True}


def _set_randomness(cfg: Config, seed: int | None, deterministic: str | None) -> None:
    if seed is not None:
        cfg.randomness = {**(cfg.get("randomness") or {}), "seed": seed}
    if deterministic:
        use_deterministic_algorithms(cfg)
