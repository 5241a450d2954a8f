"""What activation checkpointing keeps, and that it computes the same."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmvan import VAN
from mmvan.models.checkpointing import checkpoint_block, checkpoint_region
from mmvan.ops import use_backend
from tests.models.operators import Operators

ARCH = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
BLOCKS = 5


def kept_bytes(model: nn.Module, x: Tensor) -> int:
    """Memory that the forward pass leaves for the backward pass, without weights and buffers."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(t: Tensor) -> Tensor:
        if t.untyped_storage().data_ptr() not in own:
            kept[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        outputs = model(x)
    assert all(out.requires_grad for out in outputs)
    return sum(t.untyped_storage().nbytes() for t in kept.values())


@pytest.mark.parametrize(("arch", "channels_last"), product(("b0", "b2"), (False, True)))
def test_what_is_kept(arch: str, channels_last: bool) -> None:
    """Per block, in maps of its input's size: 12 + 3 r plain, 7 + r lean, 1 of a whole block."""
    x = torch.randn(2, 3, 64, 64)
    with use_backend("phase_split"):  # Some of the others keep less by themselves.
        plain, lean, whole = (
            kept_bytes(VAN(arch, with_cp=with_cp, channels_last=channels_last), x)
            for with_cp in (False, "lean", True)
        )
    assert lean < 0.45 * plain
    assert whole < 0.07 * plain


def pointwise_convolutions(operators: Operators) -> int:
    """How many 1x1 convolutions there were."""
    convolution = torch.ops.aten.convolution.default
    of = [args for func, args in operators.calls if func is convolution]
    return sum(args[-1] == 1 and args[1].shape[2:] == (1, 1) for args in of)


@pytest.mark.parametrize(("with_cp", "repeated"), ((False, 0), ("lean", 1), (True, 5)))
def test_only_the_cheapest_1x1_of_a_lean_block_runs_twice(
    with_cp: bool | str, repeated: int
) -> None:
    """That inside the large kernel attention, of C x C weights; a block has five 1x1."""
    model = VAN(ARCH, with_cp=with_cp)
    with Operators() as forward:
        outputs = model(torch.randn(2, 3, 33, 38))
    with Operators() as backward:
        sum(out.sum() for out in outputs).backward()
    counts = pointwise_convolutions(forward), pointwise_convolutions(backward)
    assert counts == (5 * BLOCKS, repeated * BLOCKS)


@pytest.mark.parametrize("with_cp", ("lean", True))
def test_dropout_draws_the_same_again(with_cp: bool | str) -> None:
    gradients = []
    for switch in (False, with_cp):
        torch.manual_seed(0)
        model = VAN(ARCH, drop_rate=0.5, drop_path_rate=0.5, with_cp=switch)
        sum(out.square().sum() for out in model(torch.randn(2, 3, 33, 38))).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert None not in gradients[0].values()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)


@pytest.mark.parametrize("with_cp", ("lean", True))
def test_nothing_is_kept_where_no_gradient_is_wanted(with_cp: bool | str) -> None:
    frozen = VAN(ARCH, with_cp=with_cp, frozen_stages=3)
    assert not any(out.requires_grad for out in frozen(torch.randn(2, 3, 33, 38)))
    model = VAN(ARCH, with_cp=with_cp)
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 33, 38))
    assert not any(out.requires_grad for out in outputs)


def test_a_region_is_computed_again_with_the_numbers_of_the_first_time() -> None:
    x = torch.randn(64, requires_grad=True)
    region = checkpoint_region(lambda x: functional.dropout(x.exp()).sin(), x, random=True)
    (gradient,) = torch.autograd.grad(region.sum(), x)
    kept = region != 0
    assert 0 < kept.sum() < 64
    assert torch.equal(gradient != 0, kept)


def test_running_statistics_see_a_batch_once() -> None:
    block = nn.Sequential(nn.BatchNorm2d(4, momentum=1.0), nn.Conv2d(4, 4, 1))
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    checkpoint_block(block, x).sum().backward()
    assert block[0].num_batches_tracked == 1
    assert block[0].momentum == 1.0
    torch.testing.assert_close(block[0].running_mean, x.detach().mean((0, 2, 3)))
