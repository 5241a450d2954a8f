"""Fold what is constant at inference into the convolutions beside it, exactly.

In evaluation mode BatchNorm is a factor s and an offset t per channel. In a block, with LayerScale
g (1 where there is none) and the convolutions of the attention half in between, it says

    x + g * (proj_2(lka(gelu(proj_1(s * x + t)))) + s * x + t)

which is (1 + g * s) * x + proj_2'(lka(gelu(proj_1'(x)))): proj_1' takes s into its weights and t
into its bias, which is exact because a 1x1 convolution does not pad; proj_2' takes g, and g * t
into its bias. In the feed-forward half fc1 takes s and t, fc2 takes g. A patch embedding's
BatchNorm goes into its convolution. What is left per block is its convolutions, two activations,
one gate and one factor per channel.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmvan.errors import ModelError
from mmvan.models.layers import activate
from mmvan.models.van import VAN, PatchEmbed


class FoldedBlock(nn.Module):
    """A block at inference.

    Args:
        block: The block, with BatchNorm in evaluation mode.

    Raises:
        ModelError: Its normalisation is not a BatchNorm with running statistics.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        s1, t1 = _affine_of(block.norm1)
        s2, t2 = _affine_of(block.norm2)
        g1 = _scale_of(block.layer_scale_1, like=s1)
        g2 = _scale_of(block.layer_scale_2, like=s2)
        attn, ffn = block.attn, block.ffn
        self.proj_1 = _after_affine(attn.proj_1, s1, t1)
        self.act_1 = attn.act
        self.lka = attn.lka
        self.proj_2 = _before_scale(attn.proj_2, g1, t1)
        self.shortcut: Tensor
        self.register_buffer("shortcut", (1 + g1 * s1).view(-1, 1, 1))
        self.fc1 = _after_affine(ffn.fc1, s2, t2)
        self.dw_conv = ffn.dw_conv
        self.act_2 = ffn.act
        self.fc2 = _before_scale(ffn.fc2, g2, torch.zeros_like(t2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        x = x * self.shortcut + self.proj_2(self.lka(self.act_1(self.proj_1(x))))
        return x + self.fc2(activate(self.dw_conv, self.act_2, self.fc1(x)))


class FoldedVAN(nn.Module):
    """A backbone at inference; called as the one that it was made from.

    Args:
        backbone: The backbone, in evaluation mode.

    Attributes:
        out_channels (tuple[int, ...]): Channels of each returned map.
        out_strides (tuple[int, ...]): Input pixels per pixel of each returned map.
    """

    def __init__(self, backbone: VAN) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_fold_stage(stage) for stage in backbone.stages)
        self.out_indices = backbone.out_indices
        self.channels_last = backbone.channels_last
        self.out_channels = backbone.out_channels
        self.out_strides = backbone.out_strides
        if self.channels_last is True:
            to_layout: Any = self.to  # Its stub leaves the argument out.
            to_layout(memory_format=torch.channels_last)

    # The stages differ, the way through them does not.
    forward = VAN.forward


def fold(model: nn.Module) -> nn.Module:
    """Make the inference form of a model that has VAN backbones inside.

    Args:
        model: A backbone, or any model with some in it, in evaluation mode. It is left as it is.

    Returns:
        nn.Module: A copy that computes the same, up to rounding (1e-5 relative in float32), in
        which each backbone is a :class:`FoldedVAN`. It is for inference alone, and takes no
        checkpoint of the original.

    Raises:
        ModelError: The model has no VAN, is in training mode, or a backbone's normalisation is not
            BatchNorm.
    """
    folded = copy.deepcopy(model)
    if isinstance(folded, VAN):
        return _fold_backbone(folded, "the model")
    names = [name for name, module in folded.named_modules() if isinstance(module, VAN)]
    if not names:
        raise ModelError(f"fold: {type(model).__name__} has no mmvan.VAN inside")
    for name in names:
        folded.set_submodule(name, _fold_backbone(folded.get_submodule(name), name))
    return folded


def _fold_backbone(backbone: Any, name: str) -> FoldedVAN:
    training = [path for path, module in backbone.named_modules() if module.training]
    if training:
        raise ModelError(f"fold: {name} is in training mode ({training[0] or 'all of it'}): eval()")
    return FoldedVAN(backbone)


def _fold_stage(stage: Any) -> nn.Sequential:
    blocks = [FoldedBlock(block) for block in stage.blocks]
    return nn.Sequential(_fold_embed(stage.embed), *blocks, stage.norm)


def _fold_embed(embed: PatchEmbed) -> nn.Conv2d:
    _affine_of(embed.norm)
    return fuse_conv_bn_eval(embed.proj, embed.norm)


def _affine_of(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Factor and offset per channel, (C,) each, that a BatchNorm is in evaluation mode."""
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        raise ModelError(
            f"fold: needs BatchNorm with running statistics inside the backbone, found {norm}"
        )
    factor = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        factor = factor * norm.weight.detach()
    offset = -norm.running_mean * factor
    return factor, offset + norm.bias.detach() if norm.affine else offset


def _scale_of(scale: Any, like: Tensor) -> Tensor:
    return torch.ones_like(like) if scale is None else scale.detach()


def _after_affine(conv: nn.Conv2d, factor: Tensor, offset: Tensor) -> nn.Conv2d:
    """The 1x1 convolution of ``factor * x + offset``, as one of x."""
    weight = conv.weight.detach()
    bias = _bias_of(conv) + weight.flatten(1) @ offset
    return _with(conv, weight * factor.view(1, -1, 1, 1), bias)


def _before_scale(conv: nn.Conv2d, factor: Tensor, offset: Tensor) -> nn.Conv2d:
    """``factor * (conv(x) + offset)`` as one convolution."""
    bias = (_bias_of(conv) + offset) * factor
    return _with(conv, conv.weight.detach() * factor.view(-1, 1, 1, 1), bias)


def _bias_of(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()


def _with(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    conv = copy.deepcopy(conv)
    conv.weight = nn.Parameter(weight)
    conv.bias = nn.Parameter(bias)
    return conv
