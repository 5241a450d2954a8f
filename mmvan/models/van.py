"""The Visual Attention Network backbone (arXiv 2202.09741)."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import Self

from mmvan.arch import Arch, get_arch
from mmvan.checkpoint.adapt import rename_backbone
from mmvan.checkpoint.pretrained import InitCfg, load_wholly
from mmvan.errors import ModelError
from mmvan.models.checkpointing import checkpoint_block
from mmvan.models.foreign_arguments import refuse_foreign, refuse_output_norm
from mmvan.models.layers import Block, LayerNorm2d
from mmvan.ops.choice import prefers_channels_last
from mmvan.ops.observers import is_recorded, is_transformed
from mmvan.registry import MODELS

# What has parameters or statistics beside the convolutions, and holds nothing after ``to_empty``.
_PLAIN = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.PReLU)


class PatchEmbed(nn.Module):
    """Strided overlapping convolution and normalisation at the head of a stage.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        kernel_size: Taps per side; the padding is half of it.
        stride: Down-sampling factor.
        norm_cfg: Normalisation, as mmcv builds it.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int,
        norm_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel_size, stride, kernel_size // 2)
        self.norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        return self.norm(self.proj(x))


class Stage(nn.Module):
    """Patch embedding, blocks and the output norm of one stage.

    Args:
        embed: Patch embedding.
        blocks: The blocks.
        norm: Normalisation of the output, which also feeds the next stage.
        with_cp: Compute the blocks again in the backward pass instead of keeping what is inside.
    """

    def __init__(
        self, embed: PatchEmbed, blocks: Sequence[Block], norm: nn.Module, with_cp: bool
    ) -> None:
        super().__init__()
        self.embed = embed
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """Map the previous stage's output to this stage's, see :class:`PatchEmbed`."""
        x = self.embed(x)
        for block in self.blocks:
            x = checkpoint_block(block, x) if self.with_cp else block(x)
        return self.norm(x)


@MODELS.register_module()
class VAN(BaseModule):
    """Visual Attention Network: a backbone with one output per stage, at strides 4, 8, 16, 32.

    Any height and width work; the map of stage i has ``ceil(previous / stride)`` rows and columns.

    Args:
        arch: ``b0`` to ``b6``, an alias (``t tiny s small b base l large h huge``), or a dict with
            ``embed_dims``, ``depths`` and, optionally, ``ffn_ratios``.
        in_channels: Channels of the input image.
        drop_rate: Dropout probability in the feed-forward networks.
        drop_path_rate: Stochastic depth of the last block; it grows linearly from 0 over all
            blocks of the arch.
        out_indices: Stages (from 0) whose outputs are returned, in this order; None for all.
            Stages after the last one that is asked for are not built.
        frozen_stages: The stages 0 to ``frozen_stages`` are frozen when built: no gradients, and
            evaluation mode at all times. -1 freezes none.
        norm_eval: Keep BatchNorm layers in evaluation mode while training.
        norm_cfg: Normalisation inside the stages, as mmcv builds it.
        out_norm_cfg: Normalisation of the stage outputs; ``LN`` normalises over channels. The
            authors use eps 1e-6 for classification and 1e-5 for segmentation.
        act_cfg: Activation, as mmcv builds it.
        layer_scale_init_value: First value of LayerScale; None or 0 for none.
        lka_cfg: Options of :class:`mmvan.models.LargeKernelAttention`, the paper's ablations.
        with_cp: Activation checkpointing, for less memory and the same numbers. ``lean`` keeps the
            outputs of the 1x1 convolutions and computes what lies between them again; True keeps
            the inputs of the blocks alone and computes the blocks again.
        channels_last: Work in channels_last inside and return contiguous maps, because mmcv's
            RoIAlign reads any other layout wrongly. ``auto`` does so where ``mmvan.TuneHook`` found
            it faster; where nothing was measured, on CPUs (`benchmarks/README.md`). Otherwise the
            layout of the input is kept, and in traced and exported graphs always.
        init_cfg: As for any MMEngine module. ``type="Pretrained"`` loads every tensor of the
            backbone, from any layout and address (`docs/checkpoints.md`), or raises an error.
        **foreign: None; those of other ports are refused with their name here.

    Attributes:
        out_channels (tuple[int, ...]): Channels of each returned map.
        out_strides (tuple[int, ...]): Input pixels per pixel of each returned map.

    Raises:
        ModelError: If an argument has no usable value; the message names it.

    Examples:
        >>> import torch
        >>> from mmvan import VAN
        >>> model = VAN("b0", out_indices=(0, 3)).eval()
        >>> [tuple(out.shape) for out in model(torch.rand(1, 3, 65, 47))]
        [(1, 32, 17, 12), (1, 256, 3, 2)]
    """

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = "b2",
        in_channels: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        norm_cfg: Mapping[str, Any] | None = None,
        out_norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        layer_scale_init_value: float | None = 1e-2,
        lka_cfg: Mapping[str, Any] | None = None,
        with_cp: bool | Literal["lean"] = False,
        channels_last: bool | Literal["auto"] = False,
        init_cfg: InitCfg = None,
        **foreign: Any,
    ) -> None:
        refuse_foreign(foreign, list(inspect.signature(VAN.__init__).parameters))
        refuse_output_norm(norm_cfg)
        super().__init__(load_wholly(init_cfg))
        self.arch = get_arch(arch)
        _check_rate("drop_rate", drop_rate)
        _check_rate("drop_path_rate", drop_path_rate)
        _check_switch("with_cp", with_cp, "lean")
        _check_switch("channels_last", channels_last, "auto")
        self.out_indices = _check_out_indices(out_indices, len(self.arch.depths))
        num_built = max(self.out_indices) + 1
        self.frozen_stages = _check_frozen_stages(frozen_stages, self.out_indices)
        self.norm_eval = norm_eval
        self.channels_last = channels_last

        block_cfg = {
            "drop_rate": drop_rate,
            "norm_cfg": dict(norm_cfg or {"type": "BN"}),
            "act_cfg": dict(act_cfg or {"type": "GELU"}),
            "lka_cfg": dict(lka_cfg or {}),
            "layer_scale_init_value": layer_scale_init_value,
            "lean": with_cp == "lean",
        }
        out_norm_cfg = dict(out_norm_cfg or {"type": "LN", "eps": 1e-6})
        drop_paths = _drop_paths(self.arch, drop_path_rate)
        stages = [
            _build_stage(
                self.arch, i, in_channels, drop_paths, block_cfg, out_norm_cfg, with_cp is True
            )
            for i in range(num_built)
        ]
        self.stages = nn.ModuleList(stages)
        if channels_last is True:
            # The gradients of the weights then have their layout, as DistributedDataParallel asks.
            self.to(memory_format=torch.channels_last)
        self.out_channels = tuple(self.arch.embed_dims[i] for i in self.out_indices)
        self.out_strides = tuple(4 * 2**i for i in self.out_indices)
        # Before DistributedDataParallel registers the parameters, which it does only once.
        self._freeze_stages()
        # Every way of loading ends in this hook: init_cfg, load_from, resume, load_state_dict.
        self.register_load_state_dict_pre_hook(_rename_before_loading)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the stage outputs.

        Args:
            x: Images of shape (N, in_channels, H, W), contiguous or channels_last.

        Returns:
            One map per entry of ``out_indices``, of shape (N, C_i, ~H / stride_i, ~W / stride_i),
            in the layout of the input; contiguous with ``channels_last``.
        """
        channels_last = _converts_layout(self.channels_last, x)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        chosen = (outputs[i] for i in self.out_indices)
        return tuple(out.contiguous() if channels_last else out for out in chosen)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Tell the layer of a parameter, for layer-wise decay of the learning rate.

        Layer 0 is the first patch embedding. Each block is a layer; the patch embedding of a later
        stage belongs to the stage's first block, the norm of a stage to its last block. The last
        layer is everything that follows the backbone.

        Args:
            param_name: Name of the parameter in the model that the backbone is part of.
            prefix: What the names of the backbone's own parameters begin with there.

        Returns:
            tuple[int, int]: The layer, from 0, and the number of layers.
        """
        depths = self.arch.depths[: len(self.stages)]
        num_layers = sum(depths) + 2
        if not param_name.startswith(f"{prefix}stages."):
            return num_layers - 1, num_layers
        number, part, position, *_ = param_name.removeprefix(f"{prefix}stages.").split(".")
        stage = int(number)
        if part == "norm":
            return sum(depths[: stage + 1]), num_layers
        if part == "embed":
            return sum(depths[:stage]) + bool(stage), num_layers
        return sum(depths[:stage]) + int(position) + 1, num_layers

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; frozen stages, and BatchNorm with ``norm_eval``, stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def init_weights(self) -> None:
        """Initialise every tensor as the authors' code does, then as ``init_cfg`` says."""
        if not self.is_init:
            self.apply(init_as_authors)
        super().init_weights()

    def _freeze_stages(self) -> None:
        for stage in self.stages[: self.frozen_stages + 1]:
            stage.eval()
            stage.requires_grad_(False)


def _drop_paths(arch: Arch, rate: float) -> list[float]:
    """The probability of each block, from 0 to the rate."""
    last_block = max(sum(arch.depths) - 1, 1)
    return [rate * i / last_block for i in range(last_block + 1)]


def _build_stage(
    arch: Arch,
    i: int,
    in_channels: int,
    drop_paths: Sequence[float],
    block_cfg: dict[str, Any],
    out_norm_cfg: dict[str, Any],
    with_cp: bool,
) -> Stage:
    previous, channels = (in_channels, *arch.embed_dims)[i : i + 2]
    kernel_size, stride = (7, 4) if i == 0 else (3, 2)
    first = sum(arch.depths[:i])
    embed = PatchEmbed(previous, channels, kernel_size, stride, block_cfg["norm_cfg"])
    blocks = [
        Block(channels, arch.ffn_ratios[i], drop_path=drop_path, **block_cfg)
        for drop_path in drop_paths[first : first + arch.depths[i]]
    ]
    return Stage(embed, blocks, _build_out_norm(out_norm_cfg, channels), with_cp)


def _rename_before_loading(
    _module: nn.Module,
    state_dict: dict[str, Any],
    prefix: str,
    _metadata: dict[str, Any],
    _strict: bool,
    _missing: list[str],
    unexpected: list[str],
    _errors: list[str],
) -> None:
    rename_backbone(state_dict, prefix, unexpected)


def init_as_authors(module: nn.Module) -> None:
    """Initialise a module of the backbone as the authors' code does; for ``Module.apply``."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        # Drawn apart: in place, random numbers are laid down in the order of the memory, which
        # channels_last makes another one.
        drawn = torch.empty_like(module.weight, memory_format=torch.contiguous_format)
        nn.init.normal_(drawn, 0, math.sqrt(2 / fan_out))
        with torch.no_grad():
            module.weight.copy_(drawn)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, Block):
        module.reset_layer_scales()
    elif isinstance(module, _PLAIN):
        module.reset_parameters()


def _build_out_norm(cfg: dict[str, Any], channels: int) -> nn.Module:
    if cfg["type"] == "LN":
        return LayerNorm2d(channels, **{key: cfg[key] for key in cfg if key != "type"})
    return build_norm_layer(cfg, channels)[1]


def _check_rate(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ModelError(f"{name} must be a probability in [0, 1), got {value!r}")


def _check_switch(name: str, value: Any, third: str) -> None:
    if not isinstance(value, bool) and value != third:
        raise ModelError(f"{name} must be False, True or {third!r}, got {value!r}")


def _converts_layout(channels_last: bool | Literal["auto"], x: Tensor) -> bool:
    """Whether to work on ``x`` in channels_last; runtimes choose the layout of a graph themselves.

    Such graphs are those of ONNX, TorchScript, FX and FLOP counters.
    """
    if is_recorded(x) or is_transformed(x):
        return False
    return prefers_channels_last(x) if channels_last == "auto" else channels_last


def _check_out_indices(out_indices: Sequence[int] | None, num_stages: int) -> tuple[int, ...]:
    stages = tuple(range(num_stages))
    if out_indices is None:
        return stages
    chosen = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(stages):
        raise ModelError(f"out_indices must be a non-empty subset of {stages}, got {out_indices!r}")
    return chosen


def _check_frozen_stages(frozen_stages: int, out_indices: tuple[int, ...]) -> int:
    last = max(out_indices)
    if not -1 <= frozen_stages <= last:
        raise ModelError(
            f"frozen_stages must be between -1 (none) and {last}, the last stage that "
            f"out_indices={out_indices} builds, got {frozen_stages}"
        )
    return frozen_stages
