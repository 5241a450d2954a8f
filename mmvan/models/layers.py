"""The parts of a VAN stage: large kernel attention, feed-forward network, block.

Shapes are (N, C, H, W) throughout, contiguous or channels_last. Names follow the paper
(arXiv 2202.09741, section 3): DW-Conv, DW-D-Conv and 1x1 convolution make the attention map.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmvan.errors import ModelError
from mmvan.models.checkpointing import checkpoint_region
from mmvan.ops import (
    depthwise_gelu,
    kernels_are_fused,
    large_kernel_attention,
    make_depthwise_conv,
    run_conv,
)
from mmvan.ops.observers import in_channels_last, is_depthwise, is_pointwise

Gate = Literal["mul", "add", "none"]
GATES: tuple[Gate, ...] = ("mul", "add", "none")
_CONVS = ("dw_conv", "dw_d_conv", "pw_conv")  # In the order in which they run.


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of an (N, C, H, W) map, in the layout that the map has."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        channels_last = in_channels_last(x)
        out = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        ).permute(0, 3, 1, 2)
        return out if channels_last else out.contiguous()


class LargeKernelAttention(nn.Module):
    """Large kernel attention (section 3.1): ``conv1x1(dw_d(dw(x))) * x``.

    A K x K convolution with dilation d is decomposed into a (2d-1) x (2d-1) depthwise one, a
    ceil(K/d) x ceil(K/d) depthwise one with dilation d, and a 1x1 one.

    Args:
        channels: Number of channels C.
        kernel_size: K, the size of the kernel that is decomposed. The paper uses 21 and compares
            7 (with dilation 2), 14 and 28 (with dilation 4) in Table 6.
        dilation: d.
        dw_conv: Keep the local depthwise convolution. The ablations are those of Table 3.
        dw_d_conv: Keep the dilated depthwise convolution.
        pw_conv: Keep the 1x1 convolution.
        gate: How the attention map meets the input: multiplied, added, or ``none`` (the map alone,
            the paper's "without attention").
        sigmoid: Squash the map before the gate.

    Raises:
        ModelError: If ``gate`` is unknown, ``kernel_size`` and ``dilation`` do not decompose, or
            no convolution is left.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 21,
        dilation: int = 3,
        dw_conv: bool = True,
        dw_d_conv: bool = True,
        pw_conv: bool = True,
        gate: Gate = "mul",
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        if gate not in GATES:
            raise ModelError(f"lka_cfg['gate'] must be one of {GATES}, got {gate!r}")
        if dilation < 1 or kernel_size < dilation:
            raise ModelError(
                "lka_cfg needs dilation >= 1 and kernel_size >= dilation, got "
                f"kernel_size={kernel_size}, dilation={dilation}"
            )
        if not (dw_conv or dw_d_conv or pw_conv):
            raise ModelError("lka_cfg leaves no convolution: keep dw_conv, dw_d_conv or pw_conv")
        if dw_conv:
            self.dw_conv = make_depthwise_conv(channels, 2 * dilation - 1)
        if dw_d_conv:
            self.dw_d_conv = make_depthwise_conv(channels, -(-kernel_size // dilation), dilation)
        if pw_conv:
            self.pw_conv = nn.Conv2d(channels, channels, 1)
        self.gate = gate
        self.sigmoid = sigmoid
        self.fusable = dw_conv and dw_d_conv and pw_conv and gate == "mul" and not sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        convs = [getattr(self, name) for name in _CONVS if getattr(self, name, None) is not None]
        if self.fusable and kernels_are_fused(x, *convs) and _are_one_kernel(*convs):
            return self._in_one_call(x)
        attn = x
        for conv in convs:
            attn = run_conv(conv, attn)
        if self.sigmoid:
            attn = attn.sigmoid()
        if self.gate == "none":
            return attn
        return x * attn if self.gate == "mul" else x + attn

    def _in_one_call(self, x: Tensor) -> Tensor:
        convs: Any = (self.dw_conv, self.dw_d_conv, self.pw_conv)
        dw, dw_d, pw = convs
        return large_kernel_attention(
            x, dw.weight, dw.bias, dw_d.weight, dw_d.bias, pw.weight, pw.bias, dw_d.dilation[0]
        )


def _are_one_kernel(*convs: nn.Module) -> bool:
    if len(convs) != len(_CONVS):
        return False
    dw, dw_d, pw = convs
    return is_depthwise(dw, dilation=1) and is_depthwise(dw_d) and is_pointwise(pw)


class Attention(nn.Module):
    """The attention half of a block: 1x1, GELU, large kernel attention, 1x1, and a shortcut.

    Args:
        channels: Number of channels C.
        act_cfg: Activation, as mmcv builds it.
        lka_cfg: Options of :class:`LargeKernelAttention`.
        lean: Keep the first 1x1's output alone for the backward pass, and compute what lies
            between the two again.
    """

    def __init__(
        self, channels: int, act_cfg: dict[str, Any], lka_cfg: dict[str, Any], lean: bool = False
    ) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.act = build_activation_layer(act_cfg)
        self.lka = LargeKernelAttention(channels, **lka_cfg)
        self.proj_2 = nn.Conv2d(channels, channels, 1)
        self.lean = lean

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        projected = self.proj_1(x)
        if self.lean:
            return checkpoint_region(self._attend, projected) + x
        return self._attend(projected) + x

    def _attend(self, projected: Tensor) -> Tensor:
        return self.proj_2(self.lka(self.act(projected)))


class FeedForward(nn.Module):
    """The convolutional feed-forward half of a block: 1x1, depthwise 3x3, GELU, 1x1.

    Args:
        channels: Number of input and output channels C.
        hidden_channels: Channels between the two 1x1 convolutions.
        act_cfg: Activation, as mmcv builds it.
        drop_rate: Dropout probability after the activation and after the second 1x1.
        lean: Keep the first 1x1's output alone for the backward pass, and compute what lies
            between the two again.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        act_cfg: dict[str, Any],
        drop_rate: float,
        lean: bool = False,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.dw_conv = make_depthwise_conv(hidden_channels, 3)
        self.act = build_activation_layer(act_cfg)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.drop = nn.Dropout(drop_rate)
        self.lean = lean

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        hidden = self.fc1(x)
        if self.lean:
            random = self.training and self.drop.p > 0
            return self.drop(checkpoint_region(self._mix, hidden, random=random))
        return self.drop(self._mix(hidden))

    def _mix(self, hidden: Tensor) -> Tensor:
        return self.fc2(self.drop(activate(self.dw_conv, self.act, hidden)))


def activate(conv: nn.Module, act: nn.Module, x: Tensor) -> Tensor:
    """``act(conv(x))``, past the modules where that is one kernel."""
    fused = isinstance(act, nn.GELU) and kernels_are_fused(x, conv, act)
    if fused and is_depthwise(conv, dilation=1) and conv.bias is not None:
        return depthwise_gelu(x, conv.weight, conv.bias)
    return act(run_conv(conv, x))


class Block(nn.Module):
    """One VAN block: attention and feed-forward halves, each normalised and residual.

    Args:
        channels: Number of channels C.
        ffn_ratio: Hidden over input channels of the feed-forward half.
        drop_rate: Dropout probability in the feed-forward half.
        drop_path: Probability of dropping a half for a sample (stochastic depth).
        norm_cfg: Normalisation of the halves' inputs, as mmcv builds it.
        act_cfg: Activation, as mmcv builds it.
        lka_cfg: Options of :class:`LargeKernelAttention`.
        layer_scale_init_value: First value of the per-channel scales; None or 0 for no scales.
        lean: Keep of the halves what is small or costly to compute again, see
            :class:`Attention` and :class:`FeedForward`.
    """

    def __init__(
        self,
        channels: int,
        ffn_ratio: int,
        drop_rate: float,
        drop_path: float,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
        lka_cfg: dict[str, Any],
        layer_scale_init_value: float | None,
        lean: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.attn = Attention(channels, act_cfg, lka_cfg, lean)
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.ffn = FeedForward(channels, channels * ffn_ratio, act_cfg, drop_rate, lean)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.layer_scale_init_value = layer_scale_init_value or 0.0
        scaled = bool(layer_scale_init_value)
        self.layer_scale_1 = nn.Parameter(torch.empty(channels)) if scaled else None
        self.layer_scale_2 = nn.Parameter(torch.empty(channels)) if scaled else None
        self.reset_layer_scales()

    def reset_layer_scales(self) -> None:
        """Give LayerScale its first value."""
        for scale in (self.layer_scale_1, self.layer_scale_2):
            if scale is not None:
                nn.init.constant_(scale, self.layer_scale_init_value)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        x = x + self.drop_path(_scale(self.attn(self.norm1(x)), self.layer_scale_1))
        return x + self.drop_path(_scale(self.ffn(self.norm2(x)), self.layer_scale_2))


def _scale(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale.view(-1, 1, 1)
