"""The numbers of the page on large kernel attention are those of the code."""

import re
from collections.abc import Sequence

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmvan.arch import ALIASES, ARCHS
from mmvan.leaderboard.complexity import measure
from mmvan.models.layers import LargeKernelAttention
from mmvan.models.van import VAN
from tests.docs.commands import PROJECT

PAGE = (PROJECT / "docs" / "how_lka_works.md").read_text("utf-8")
SIZES = {"b0": "t", "b1": "s", "b2": "b", "b3": "l", "b4": "h", "b5": "b5", "b6": "b6"}


def rows(first: str) -> list[list[str]]:
    """The table whose head begins with these words: its rows, in cells."""
    (table,) = re.findall(rf"^\| {re.escape(first)}.*\n\| ---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]


def weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.dim() > 1)


def kernels(channels: int) -> list[nn.Module]:
    """What the table of costs compares, in its order."""
    dense = nn.Conv2d(channels, channels, 21, padding=10)
    depthwise = nn.Conv2d(channels, channels, 21, padding=10, groups=channels)
    separable = nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1))
    return [dense, separable, LargeKernelAttention(channels)]


def reach(network: nn.Module, channels: int, size: int) -> int:
    """How wide the input is that the centre of the output depends on."""
    x = torch.rand(1, channels, size, size, requires_grad=True)
    out = network(x)
    (gradient,) = torch.autograd.grad(out[0, 0, out.shape[2] // 2, out.shape[3] // 2], x)
    (reached,) = gradient.abs().sum((0, 1, 2)).nonzero(as_tuple=True)
    return int(reached[-1] - reached[0]) + 1


def test_the_parts_are_those_of_the_module() -> None:
    parts = dict(LargeKernelAttention(4).named_children())
    table = rows("part")
    assert [re.findall(r"`(\w+)`", row[0])[0] for row in table] == list(parts)
    for (_, _, here, _), conv in zip(table, parts.values(), strict=True):
        assert isinstance(conv, nn.Conv2d)
        size = f"{conv.kernel_size[0]} x {conv.kernel_size[1]}"
        dilated = f", dilation {conv.dilation[0]}" if conv.dilation[0] > 1 else ""
        assert here == size + dilated


def test_an_attention_reaches_23_pixels() -> None:
    assert reach(LargeKernelAttention(4), 4, 41) == 23
    assert "5 + (7 - 1) · 3 = **23** pixels" in PAGE


def test_the_costs() -> None:
    table = rows("| parameters")
    for column, channels in ((2, 64), (3, 512)):
        shown = [int(row[column].replace(",", "")) for row in table]
        with torch.device("meta"):
            assert shown == [weights(kernel) for kernel in kernels(channels)]
    flops = [float(row[4].removesuffix(" G")) for row in table]
    # To the digits shown.
    for shown, count in zip(flops, (weights(kernel) for kernel in kernels(64)), strict=True):
        assert shown == pytest.approx(count * 56 * 56 / 1e9, rel=4e-3)
    backbone = VAN("b0")
    depthwise = [p for name, p in backbone.named_parameters() if ".lka.dw" in name]
    assert round(sum(p.numel() for p in depthwise) / 1e6, 2) == 0.12
    assert round(sum(p.numel() for p in backbone.parameters()) / 1e6, 2) == 3.85
    assert "0.12 M of B0's 3.85 M" in PAGE


def test_the_fields_of_the_stages() -> None:
    torch.manual_seed(0)
    backbone = VAN({"embed_dims": (4,) * 4, "depths": (1,) * 4, "ffn_ratios": (1,) * 4}).eval()
    stages = list(backbone.stages)
    shown = [[int(cell) for cell in row] for row in rows("stage")]
    for number, (stage, stride, alone, attended) in enumerate(shown, start=1):
        convolutions = [stage.embed for stage in stages[:number]]
        attention = stages[number - 1].blocks[0].attn.lka
        assert (stage, stride) == (number, backbone.out_strides[number - 1])
        size = attended + 2 * stride
        assert reach(nn.Sequential(*convolutions), 3, size) == alone
        assert reach(nn.Sequential(*convolutions, attention), 3, size) == attended


@pytest.mark.parametrize("row", rows("arch |"), ids=lambda row: row[0].partition(",")[0])
def test_the_architectures(row: Sequence[str]) -> None:
    name, *aliases = row[0].split(", ")
    assert aliases == [alias for alias, arch in ALIASES.items() if arch == name]
    arch = ARCHS[name]
    assert [[int(n) for n in cell.split(",")] for cell in row[1:3]] == [
        list(arch.embed_dims),
        list(arch.depths),
    ]
    assert arch.ffn_ratios == (8, 8, 4, 4)
    config = PROJECT / "configs" / "classification" / f"van_{SIZES[name]}_in1k.py"
    found = measure(Config.fromfile(config), (224, 224))
    assert found.flops is not None
    assert list(row[3:]) == [f"{found.params / 1e6:.2f}", f"{found.flops / 1e9:.2f}"]


def test_every_arch_is_there() -> None:
    assert [row[0].partition(",")[0] for row in rows("arch |")] == list(ARCHS) == list(SIZES)
