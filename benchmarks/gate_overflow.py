"""Where the gate of VAN's attention overflows in mixed precision: ``python gate_overflow.py``.

The attention multiplies its input u by a linear map of u, so that the product grows with the square
of u. Autocast on a CPU computes in the same number formats as a GPU; float16 ends at 65504.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmvan.models.layers import Attention

CHANNELS = 32  # VAN-B0, first stage
PRECISIONS = ("float16", "float16, gate in float32", "bfloat16", "float32")


@dataclass(frozen=True)
class Row:
    """What one size of the activations gives.

    Args:
        largest_input: Largest absolute value of u, in float32.
        largest_product: Largest absolute value of the gate's product, in float32.
        finite: By precision, whether the gate's product and the output are finite.
    """

    largest_input: float
    largest_product: float
    finite: dict[str, tuple[bool, bool]]


def measure(scale: float) -> Row:
    """Compute an attention whose first 1x1 convolution is scaled, in every precision.

    Args:
        scale: Factor of the weights of ``proj_1``, by which u grows.

    Returns:
        Row: What was found.
    """
    torch.manual_seed(0)
    attention: Any = Attention(CHANNELS, {"type": "GELU"}, {}).eval()
    x = torch.randn(1, CHANNELS, 56, 56)  # as it leaves the block's BatchNorm
    inputs: list[Tensor] = []
    products: list[Tensor] = []
    attention.lka.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    attention.lka.register_forward_hook(lambda _, __, output: products.append(output))
    finite = {}
    with torch.no_grad():
        attention.proj_1.weight *= scale
        for name in PRECISIONS:
            output = _compute(attention, x, name)
            finite[name] = _is_finite(products[-1]), _is_finite(output)
    # The last precision is float32.
    return Row(_largest(inputs[-1]), _largest(products[-1]), finite)


def _compute(attention: Any, x: Tensor, precision: str) -> Tensor:
    dtype = getattr(torch, precision.partition(",")[0])
    with ExitStack() as stack:
        stack.enter_context(torch.autocast("cpu", dtype, enabled=dtype != torch.float32))
        if precision.endswith("gate in float32"):
            hook = attention.lka.register_forward_hook(_gate_in_float32, prepend=True)
            stack.callback(hook.remove)
        output: Tensor = attention(x)
    return output


def _gate_in_float32(lka: nn.Module, args: tuple[Tensor], _: Tensor) -> Tensor:
    attn = args[0]
    for conv in lka.children():
        attn = conv(attn)
    return args[0].float() * attn.float()


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max())


def main() -> None:
    """Print a table for activations that double from row to row."""
    print("| largest u | largest product |", " | ".join(PRECISIONS), "|")
    print("|---" * (len(PRECISIONS) + 2) + "|")
    for exponent in range(2, 16):
        row = measure(2.0**exponent)
        marks = []
        for precision in PRECISIONS:
            product, output = row.finite[precision]
            marks.append("finite" if output else "inf in the next layer" if product else "inf")
        print(f"| {row.largest_input:.0f} | {row.largest_product:.0f} | {' | '.join(marks)} |")


if __name__ == "__main__":
    main()
