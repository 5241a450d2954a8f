"""Equal results for equal seeds: what MMEngine leaves out, and what a GPU lacks."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config

from mmvan.engine.processes import Processes
from mmvan.type_name import type_name

# raise: an operator that has no deterministic form ends the run. warn: it is named and used.
MODES = ("raise", "warn")
# mmcv's CUDA kernels that add with atomicAdd in their backward pass (mmcv/ops/csrc/common/cuda), in
# an order that changes from run to run. mmcv does not tell PyTorch, which therefore cannot raise.
_UNTOLD = {
    "DCN": "deform_conv",
    "DCNv2": "modulated_deform_conv",
    "DeformConv2dPack": "deform_conv",
    "ModulatedDeformConv2dPack": "modulated_deform_conv",
    "MSDeformAttnPixelDecoder": "ms_deform_attn",
    "MultiScaleDeformableAttention": "ms_deform_attn",
    "RoIAlign": "roi_align",
    "RoIPool": "roi_pool",
}


def use_deterministic_algorithms(cfg: Config) -> None:
    """Ask MMEngine for deterministic algorithms, and give cuBLAS what they need.

    Args:
        cfg: The config, changed in place. The process's environment is, too, before CUDA starts.
    """
    # cuBLAS is deterministic only with a workspace of a fixed size (NVIDIA's documentation).
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cfg.randomness = {**(cfg.get("randomness") or {}), "deterministic": True}
    # MMEngine switches this off, too, but warns of the setting.
    cfg.env_cfg = {**(cfg.get("env_cfg") or {}), "cudnn_benchmark": False}


def finish_determinism(cfg: Config, mode: str, processes: Processes, device: str) -> None:
    """Apply what only a built Runner leaves time for, and say what stays undetermined.

    Args:
        cfg: The config of the run.
        mode: One of :data:`MODES`.
        processes: This process among the others.
        device: The type of the device in use.
    """
    torch.use_deterministic_algorithms(True, warn_only=mode == "warn")
    kernels = sorted(set(_untold_kernels(cfg.model)))
    if device == "cuda" and kernels:
        processes.announce(
            f"--deterministic: mmcv's {', '.join(kernels)} add gradients on a GPU in an order that "
            "changes from run to run, so that the last bits differ between runs"
        )


def _untold_kernels(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        name = type_name(node)
        if name in _UNTOLD:
            yield _UNTOLD[name]
        for child in node.values():
            yield from _untold_kernels(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from _untold_kernels(child)
