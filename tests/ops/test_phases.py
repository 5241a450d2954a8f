"""The phase-split form as one operator, which compiled graphs hold."""

import inspect
import itertools
from collections import Counter
from typing import Any

import pytest
import torch

from mmvan import VAN
from mmvan.ops import depthwise_conv2d, use_backend
from mmvan.ops.phases import depthwise_by_phases

LAYOUTS = (torch.contiguous_format, torch.channels_last)
SIZES = ((1, 1), (5, 13), (23, 9))


@pytest.mark.parametrize(("size", "layout"), itertools.product(SIZES, LAYOUTS))
def test_values_and_gradients_are_those_of_conv2d(
    size: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(shape, dtype=torch.double) for shape in ((2, 4, *size), (4, 1, 7, 7), 4)]
    inputs[0] = inputs[0].contiguous(memory_format=layout)
    x, weight, bias = (tensor.requires_grad_() for tensor in inputs)
    gradient = torch.randn(2, 4, *size, dtype=torch.double)
    ours, theirs = depthwise_by_phases(x, weight, bias, 3), depthwise_conv2d(x, weight, bias, 3)
    torch.testing.assert_close(ours, theirs)
    assert ours.is_contiguous(memory_format=layout)
    torch.testing.assert_close(
        torch.autograd.grad(ours, (x, weight, bias), gradient),
        torch.autograd.grad(theirs, (x, weight, bias), gradient),
    )
    torch.library.opcheck(depthwise_by_phases, (x, weight, bias, 3))
    torch.library.opcheck(depthwise_by_phases, (x, weight, None, 3))


def test_a_compiled_graph_holds_one_operator_for_each_dilated_convolution() -> None:
    counts: list[Counter[str]] = []

    def count(graph: torch.fx.GraphModule, _: Any) -> Any:
        counts.append(Counter(str(node.target) for node in graph.graph.nodes))
        return graph.forward

    arch = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
    model = VAN(arch, channels_last=False).eval()
    compiled = torch.compile(model, backend=count, fullgraph=True)
    x = torch.rand(1, 3, 32, 32)
    with use_backend("phase_split"), torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
    (operators,) = counts
    assert operators["mmvan.depthwise_by_phases.default"] == 5
    assert not any("pad" in name or "reshape" in name for name in operators)


def test_inductor_may_choose_the_layout_of_its_maps() -> None:
    """Else it copies them before and after: two more kernels to compile and run in every block."""
    if "tags" not in inspect.signature(torch.library.custom_op).parameters:
        pytest.skip("this PyTorch gives custom operators no tags")
    for name in ("depthwise_by_phases", "depthwise_by_phases_backward"):
        assert torch.Tag.flexible_layout in getattr(torch.ops.mmvan, name).default.tags
