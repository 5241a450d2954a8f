"""The dilated depthwise convolution on a CPU: phase-split beside PyTorch's own, in one run.

    python benchmarks/depthwise.py --out benchmarks/depthwise_cpu.csv

Run it on otherwise idle cores. Sizes are those of VAN-B0 and VAN-B2 at 224 x 224 and of one
detection input.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import medians, write_csv
from torch import Tensor

from mmvan.leaderboard.output import cpu_name
from mmvan.ops import depthwise_conv2d

# (N, C, H, W) of the four stages.
SHAPES = (
    *((8, c, s, s) for c, s in ((32, 56), (64, 28), (160, 14), (256, 7))),
    *((1, c, s, s) for c, s in ((64, 56), (128, 28), (320, 14), (512, 7))),
    *((1, c, s, s + 7) for c, s in ((64, 200), (128, 100), (320, 50), (512, 25))),
)
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
KERNEL, DILATION = 7, 3


def plain(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """PyTorch's dilated depthwise convolution."""
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=x.shape[1])


def measure(
    shape: tuple[int, int, int, int], layout: str, dtype: str, repeats: int
) -> dict[str, object]:
    """One row of the table: forward alone, and forward with backward, of both forms."""
    kind = DTYPES[dtype]
    x = torch.randn(shape, dtype=kind).to(memory_format=LAYOUTS[layout]).requires_grad_()
    weight = torch.randn(shape[1], 1, KERNEL, KERNEL, dtype=kind, requires_grad=True)
    bias = torch.randn(shape[1], dtype=kind, requires_grad=True)
    grad = torch.randn(shape, dtype=kind).to(memory_format=LAYOUTS[layout])
    forms = {"plain": plain, "split": depthwise_conv2d}

    def forward(form: Callable[..., Tensor]) -> None:
        with torch.no_grad():
            form(x, weight, bias, DILATION)

    def both(form: Callable[..., Tensor]) -> None:
        torch.autograd.grad(form(x, weight, bias, DILATION), (x, weight, bias), grad)

    row: dict[str, object] = {"shape": "x".join(map(str, shape)), "layout": layout, "dtype": dtype}
    for step in (forward, both):
        name = "forward" if step is forward else "training"
        steps = {key: lambda form=form, step=step: step(form) for key, form in forms.items()}
        times = medians(steps, repeats)
        row |= {f"{name}_{key}_ms": f"{value:.3f}" for key, value in times.items()}
        row[f"{name}_ratio"] = f"{times['plain'] / times['split']:.2f}"
    return row


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = {"cpu": cpu_name(), "threads": args.threads, "torch": torch.__version__}
    rows = []
    for shape, layout, dtype in itertools.product(SHAPES, LAYOUTS, DTYPES):
        rows.append(measure(shape, layout, dtype, args.repeats) | machine)
        print(rows[-1], flush=True)
    if args.out:
        write_csv(rows, args.out)


if __name__ == "__main__":
    main()
