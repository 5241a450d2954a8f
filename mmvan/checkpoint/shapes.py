"""The tensors that a VAN backbone consists of, from the paper's description of the network."""

from torch import Size

from mmvan.arch import Arch

_NORM = ("weight", "bias", "running_mean", "running_var")


def backbone_shapes(arch: Arch, in_channels: int = 3) -> dict[str, Size]:
    """The shape of every tensor, by our own keys.

    Args:
        arch: Widths and depths.
        in_channels: Channels of the input image.

    Returns:
        dict[str, Size]: What ``VAN(arch).state_dict()`` has, without building one
        (arXiv 2202.09741, Figure 3 and Table 2; the patch embeddings as in the authors' code).
    """
    shapes: dict[str, Size] = {}
    previous = in_channels
    for i, (channels, depth, ratio) in enumerate(
        zip(arch.embed_dims, arch.depths, arch.ffn_ratios, strict=True)
    ):
        stage = f"stages.{i}."
        shapes |= _conv(f"{stage}embed.proj", channels, previous, 7 if i == 0 else 3)
        shapes |= _batch_norm(f"{stage}embed.norm", channels)
        for j in range(depth):
            shapes |= _block(f"{stage}blocks.{j}.", channels, channels * ratio)
        shapes |= {f"{stage}norm.{leaf}": Size([channels]) for leaf in _NORM[:2]}
        previous = channels
    return shapes


def _block(prefix: str, channels: int, hidden: int) -> dict[str, Size]:
    shapes = {f"{prefix}layer_scale_{half}": Size([channels]) for half in (1, 2)}
    for name in ("norm1", "norm2"):
        shapes |= _batch_norm(prefix + name, channels)
    for name in ("attn.proj_1", "attn.lka.pw_conv", "attn.proj_2"):
        shapes |= _conv(prefix + name, channels, channels, 1)
    shapes |= _conv(f"{prefix}attn.lka.dw_conv", channels, 1, 5)
    shapes |= _conv(f"{prefix}attn.lka.dw_d_conv", channels, 1, 7)
    shapes |= _conv(f"{prefix}ffn.fc1", hidden, channels, 1)
    shapes |= _conv(f"{prefix}ffn.dw_conv", hidden, 1, 3)
    shapes |= _conv(f"{prefix}ffn.fc2", channels, hidden, 1)
    return shapes


def _conv(name: str, out_channels: int, in_channels: int, kernel_size: int) -> dict[str, Size]:
    return {
        f"{name}.weight": Size([out_channels, in_channels, kernel_size, kernel_size]),
        f"{name}.bias": Size([out_channels]),
    }


def _batch_norm(name: str, channels: int) -> dict[str, Size]:
    shapes = {f"{name}.{leaf}": Size([channels]) for leaf in _NORM}
    return {**shapes, f"{name}.num_batches_tracked": Size([])}
