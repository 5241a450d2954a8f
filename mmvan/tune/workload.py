"""What is measured: the kind of work that a run does, and the parts of the network that do it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmvan.models import VAN
from mmvan.ops.choice import Mode


@dataclass(frozen=True)
class Workload:
    """A kind of work.

    Args:
        embed_dims: Channels of each stage.
        depths: Blocks of each stage.
        ffn_ratios: Hidden over input channels of each stage's feed-forward networks.
        batch: Images at a time.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        mode: With or without a backward pass.
        device: Type of the device.
        dtype: That the operators compute in, such as ``float32``.
        layouts: Which layouts may be chosen: whether in channels_last.
    """

    embed_dims: Sequence[int]
    depths: Sequence[int]
    ffn_ratios: Sequence[int]
    batch: int
    height: int
    width: int
    mode: Mode
    device: str
    dtype: str = "float32"
    layouts: Sequence[bool] = (False, True)

    def key(self) -> dict[str, Any]:
        """What a measurement holds for: sizes within a factor of two do not change what is fastest.

        Images of detectors differ from batch to batch, and nothing should be measured twice.
        """
        values = asdict(self)
        del values["height"], values["width"]
        values["batch"] = round(math.log2(self.batch))
        values["pixels"] = round(math.log2(self.height * self.width))
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


@dataclass(frozen=True)
class Part:
    """A part of the network, and how often the network has it.

    Args:
        module: The part.
        shape: Of its input.
        out_shape: Of its output.
        count: How often the network has it.
    """

    module: nn.Module
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    count: int


def make_parts(workload: Workload) -> list[Part]:
    """The patch embedding and one block of each stage, with random weights."""
    arch = {name: list(getattr(workload, name)) for name in ("embed_dims", "depths", "ffn_ratios")}
    shallow = VAN({**arch, "depths": [1] * len(workload.depths)}, layer_scale_init_value=1.0)
    shallow.train(workload.mode == "training").to(workload.device)
    return list(_parts(workload, shallow))


def _parts(workload: Workload, shallow: VAN) -> Iterator[Part]:
    shape: tuple[int, ...] = (workload.batch, 3, workload.height, workload.width)
    for i, module in enumerate(shallow.stages):
        stage: Any = module
        sizes = (math.ceil(size / (4 if i == 0 else 2)) for size in shape[2:])
        inside = (workload.batch, workload.embed_dims[i], *sizes)
        yield Part(stage.embed, shape, inside, 1)
        yield Part(stage.blocks[0], inside, inside, workload.depths[i])
        shape = inside


def run_part(part: Part, x: Tensor, cotangent: Tensor, workload: Workload) -> list[Tensor]:
    """Compute a part, and its gradients where the workload has them.

    Args:
        part: The part.
        x: Its input.
        cotangent: The gradient of its output.
        workload: Precision, and whether there are gradients.

    Returns:
        The output, and the gradients of the input and of the parameters.
    """
    dtype = getattr(torch, workload.dtype)
    training = workload.mode == "training"
    with (
        torch.set_grad_enabled(training),
        torch.autocast(workload.device, dtype, enabled=dtype != torch.float32),
    ):
        x = x.detach().requires_grad_(training)
        out = part.module(x)
    if not training:
        return [out]
    inputs = [x, *part.module.parameters()]
    return [out.detach(), *torch.autograd.grad(out, inputs, cotangent.to(out.dtype))]
