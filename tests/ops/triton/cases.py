"""The Triton operators against plain PyTorch: on a CUDA GPU, else by Triton's interpreter.

`test_cases.py` runs this file in a process of its own, because Triton reads TRITON_INTERPRET when
it is imported, and the interpreter must not meet the other tests.
"""

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.library import opcheck
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from mmvan.models.layers import Block
from mmvan.ops import depthwise_gelu, large_kernel_attention, library, use_backend
from mmvan.ops.triton import launch
from tests.models.operators import functions_of

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAYOUTS = (torch.contiguous_format, torch.channels_last)
# (N, C, H, W), and the kernels (K1, K2, dilation). Maps smaller than a kernel, one pixel, one
# channel, more channels or columns than a tile has lanes, dimensions that are no powers of two.
PAPER = (5, 7, 3)
MAPS = (
    ((2, 3, 2, 5), PAPER),
    ((1, 1, 1, 1), (3, 5, 3)),
    ((2, 1, 2, 3), (3, 3, 1)),
    ((1, 2, 7, 1), (3, 3, 2)),
    ((1, 70, 2, 3), (1, 3, 2)),
    ((1, 2, 3, 70), (3, 3, 1)),
    ((1, 5, 9, 6), (3, 1, 4)),
)
# Relative to the largest number; the reference is computed in float64 from the same input.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 5e-3,
    torch.bfloat16: 2e-2,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, device=DEVICE).to(dtype).requires_grad_()


def attention_inputs(
    shape: tuple[int, ...], kernels: tuple[int, int, int], dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    c, (k1, k2, _) = shape[1], kernels
    shapes = (shape, (c, 1, k1, k1), (c,), (c, 1, k2, k2), (c,), (c, c, 1, 1), (c,))
    return [draw(*s, dtype=dtype) for s in shapes]


def plain_attention(
    x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, pw: Tensor, pb: Tensor, d: int
) -> Tensor:
    c = x.shape[1]
    attn = F.conv2d(x, w1, b1, padding=w1.shape[-1] // 2, groups=c)
    attn = F.conv2d(attn, w2, b2, padding=d * (w2.shape[-1] // 2), dilation=d, groups=c)
    return x * F.conv2d(attn, pw, pb)


def plain_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1]))


def assert_same(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    inputs: list[Tensor],
    layout: torch.memory_format = torch.contiguous_format,
) -> None:
    """Outputs and all gradients of two functions agree, each to its largest number."""
    dtype = inputs[0].dtype
    inputs[0] = inputs[0].detach().contiguous(memory_format=layout).requires_grad_()
    exact = [value.detach().double().requires_grad_() for value in inputs]
    out, expected = ours(*inputs), theirs(*exact)
    assert out.dtype == dtype
    assert out.is_contiguous(memory_format=layout)
    grad = torch.randn_like(expected).to(dtype)
    got = (out, *torch.autograd.grad(out, inputs, grad))
    wanted = (expected, *torch.autograd.grad(expected, exact, grad.double()))
    assert len(got) == len(wanted) == len(inputs) + 1
    for value, reference in zip(got, wanted, strict=True):
        error = (value.double() - reference).abs().max() / reference.abs().max()
        assert error.item() < TOLERANCES[dtype]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "kernels"), MAPS)
def test_attention(
    shape: tuple[int, ...], kernels: tuple[int, int, int], layout: torch.memory_format
) -> None:
    d = kernels[2]
    assert_same(
        lambda *inputs: large_kernel_attention(*inputs, d, backend="triton"),
        lambda *inputs: plain_attention(*inputs, d),
        attention_inputs(shape, kernels),
        layout,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "kernels"), MAPS)
def test_feed_forward(
    shape: tuple[int, ...], kernels: tuple[int, int, int], layout: torch.memory_format
) -> None:
    c, k = shape[1], kernels[0]
    inputs = [draw(*shape), draw(c, 1, k, k), draw(c)]
    assert_same(
        lambda *inputs: depthwise_gelu(*inputs, backend="triton"), plain_gelu, inputs, layout
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_types(dtype: torch.dtype) -> None:
    shape, kernels, layout = (1, 3, 3, 4), (3, 3, 2), torch.channels_last
    assert_same(
        lambda *inputs: large_kernel_attention(*inputs, 2, backend="triton"),
        lambda *inputs: plain_attention(*inputs, 2),
        attention_inputs(shape, kernels, dtype),
        layout,
    )
    inputs = [draw(*s, dtype=dtype) for s in (shape, (3, 1, 3, 3), (3,))]
    assert_same(
        lambda *inputs: depthwise_gelu(*inputs, backend="triton"), plain_gelu, inputs, layout
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strips_and_runs_join_without_a_seam(
    layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tall maps in several strips of the pair and several runs of the weight gradient."""
    for name, value in {"STRIP": 4, "ROWS": 2, "RUN": 2, "GRADIENT_PROGRAMS": 3}.items():
        monkeypatch.setattr(launch, name, value)
    assert_same(
        lambda *inputs: large_kernel_attention(*inputs, 2, backend="triton"),
        lambda *inputs: plain_attention(*inputs, 2),
        attention_inputs((1, 2, 9, 3), (1, 3, 2)),
        layout,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_few_programs_take_two_kernels(
    layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w1, b1, w2, b2 = attention_inputs((1, 3, 5, 4), (3, 3, 2))[:5]
    x = x.detach().contiguous(memory_format=layout)
    results = []
    for multiprocessors in (0, 1000):
        monkeypatch.setattr(launch, "multiprocessors", lambda _, m=multiprocessors: m)
        results.append(library.depthwise_pair(x, w1, b1, w2, b2, 2, "triton").detach())
    assert results[0].is_contiguous(memory_format=layout)
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_other_strides_are_copied() -> None:
    inputs = attention_inputs((1, 3, 4, 5), (3, 3, 2))
    inputs[2], inputs[4] = draw(6)[::2], draw(9)[::3]
    slices = draw(1, 3, 5, 8).permute(0, 1, 3, 2)[:, :, ::2]
    ours = large_kernel_attention(slices, *inputs[1:], 2, backend="triton")
    torch.testing.assert_close(ours, plain_attention(slices, *inputs[1:], 2), rtol=1e-5, atol=1e-5)
    grad = torch.ones(1, 1, 1, 1, device=DEVICE).expand_as(ours)
    got = torch.autograd.grad(
        library.depthwise_pair(slices, *inputs[1:5], 2, "triton"), slices, grad
    )[0]
    assert got.shape == slices.shape


def test_no_image_is_a_result_too() -> None:
    inputs = attention_inputs((0, 3, 4, 5), (3, 3, 2))
    out = large_kernel_attention(*inputs, 2, backend="triton")
    gradients = torch.autograd.grad(out.sum(), inputs)
    assert out.shape == (0, 3, 4, 5)
    assert not any(gradient.any() for gradient in gradients)


def test_gradients_by_finite_differences() -> None:
    def activated(*inputs: Tensor) -> Tensor:
        return library.depthwise_gelu(*inputs, "triton")

    def pair(*inputs: Tensor) -> Tensor:
        return library.depthwise_pair(*inputs, 2, "triton")

    inputs = attention_inputs((1, 2, 2, 2), (3, 3, 2), torch.float64)[:5]
    assert torch.autograd.gradcheck(pair, inputs, fast_mode=True)
    inputs = [draw(*s, dtype=torch.float64) for s in ((1, 2, 2, 2), (2, 1, 3, 3), (2,))]
    assert torch.autograd.gradcheck(activated, inputs, fast_mode=True)


def test_a_gradient_of_gradients_is_pytorchs() -> None:
    x, weight, bias = draw(1, 2, 2, 2), draw(2, 1, 3, 3), draw(2)
    second = []
    for backend in ("torch", "triton"):
        out = depthwise_gelu(x, weight, bias, backend=backend)
        (first,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), (x, weight, bias)))
    torch.testing.assert_close(*second)


def test_registered_operators_keep_pytorchs_rules() -> None:
    x, w1, b1, w2, b2 = attention_inputs((1, 2, 2, 2), (3, 3, 1))[:5]
    grad = torch.randn_like(x)
    plain = [value.detach() for value in (grad, x, w1, b1, w2, b2)]
    without_gradient = ("test_schema", "test_faketensor")
    reports = (
        opcheck(library.depthwise_pair, (x, w1, b1, w2, b2, 2, "triton")),
        opcheck(library.depthwise_gelu, (x, w1, b1, "triton")),
        opcheck(
            library.depthwise_pair_backward, (*plain, 2, "triton"), test_utils=without_gradient
        ),
        opcheck(
            library.depthwise_gelu_backward, (*plain[:4], "triton"), test_utils=without_gradient
        ),
    )
    assert [len(report) for report in reports] == [4, 4, 2, 2]
    assert {result for report in reports for result in report.values()} == {"SUCCESS"}


def test_compiled_without_a_graph_break_gives_the_same() -> None:
    inputs = attention_inputs((1, 2, 3, 2), (3, 3, 1))

    def both(*inputs: Tensor) -> Tensor:
        mixed = large_kernel_attention(*inputs, 1)
        return depthwise_gelu(mixed, inputs[1], inputs[2])

    with use_backend("triton"):
        compiled = torch.compile(both, fullgraph=True, backend="aot_eager")(*inputs)
        eager = both(*inputs)
    torch.testing.assert_close(compiled, eager, rtol=1e-6, atol=1e-6)
    for got, expected in zip(
        torch.autograd.grad(compiled.sum(), inputs),
        torch.autograd.grad(eager.sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16))
def test_autocast_narrows_maps_and_keeps_the_gradients_of_weights_wide(dtype: torch.dtype) -> None:
    inputs = attention_inputs((1, 3, 4, 5), (3, 3, 2))
    with torch.autocast(DEVICE, dtype=dtype):
        ours = depthwise_gelu(inputs[0], inputs[1], inputs[2], backend="triton")
        mixed = large_kernel_attention(ours, *inputs[1:], 2, backend="triton")
        expected = plain_attention(plain_gelu(*inputs[:3]), *inputs[1:], 2)
    assert ours.dtype == mixed.dtype == expected.dtype == dtype
    tolerance = 4 * TOLERANCES[dtype]
    torch.testing.assert_close(mixed, expected, rtol=tolerance, atol=tolerance)
    gradients = torch.autograd.grad(mixed.sum(), inputs)
    assert {gradient.dtype for gradient in gradients} == {torch.float32}


def test_checkpointing_gives_the_same_gradients() -> None:
    inputs = attention_inputs((1, 2, 3, 2), (3, 3, 1))

    def attend(*inputs: Tensor) -> Tensor:
        return large_kernel_attention(*inputs, 1, backend="triton")

    kept = torch.autograd.grad(attend(*inputs).sum(), inputs)
    again = torch.autograd.grad(checkpoint(attend, *inputs, use_reentrant=False).sum(), inputs)
    assert len(kept) == 7
    torch.testing.assert_close(again, kept, rtol=0, atol=0)


def test_only_the_inputs_are_kept_for_the_backward_pass() -> None:
    inputs = attention_inputs((1, 2, 3, 4), (3, 3, 2))[:5]
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        library.depthwise_pair(*inputs, 2, "triton")
        library.depthwise_gelu(*inputs[:3], "triton")
    pointers = [value.data_ptr() for value in inputs]
    assert [tensor.data_ptr() for tensor in kept] == [*pointers, *pointers[:3]]


def make_block() -> Block:
    options = ({"type": "BN"}, {"type": "GELU"}, {"kernel_size": 6, "dilation": 2}, 1e-2)
    block = Block(2, 2, 0.0, 0.0, *options).to(DEVICE)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return block


def test_a_block_passes_its_modules_and_computes_the_same() -> None:
    block = make_block()
    x, results, kernels = draw(1, 2, 4, 3), {}, {}
    leaves = [x, *block.parameters()]
    for backend in ("torch", "triton"):
        with use_backend(backend):
            out = block(x)
            made_by = functions_of(out)
            results[backend] = (out, *torch.autograd.grad(out.square().sum(), leaves))
        kernels[backend] = {name for name in made_by if "mmvan" in name}
    assert kernels["torch"] == set()
    assert len(kernels["triton"]) == 2  # The pair of the attention, and that with GELU.
    torch.testing.assert_close(results["triton"], results["torch"], rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("error:Grad strides do not match")
def test_distributed_data_parallel_takes_the_gradients_as_they_are() -> None:
    block, x = make_block().to(memory_format=torch.channels_last), draw(1, 2, 4, 3)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with use_backend("triton"):
            parallel = DistributedDataParallel(block)
            alone = torch.autograd.grad(block(x).square().sum(), list(block.parameters()))
            parallel(x).square().sum().backward()
    finally:
        dist.destroy_process_group()
    gradients = [parameter.grad for parameter in block.parameters()]
    assert len(gradients) == 22
    torch.testing.assert_close(gradients, list(alone), rtol=1e-6, atol=1e-6)


def test_what_is_compared() -> None:
    assert (len(MAPS), len(LAYOUTS), len(TOLERANCES)) == (7, 2, 4)
