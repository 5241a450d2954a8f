"""The same numbers as VANs that we did not write, with the same weights."""

import csv
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks import parity
from benchmarks.parity import MODES, PEERS, SHAPES, Peer, build_pair, own_name, run_pair
from mmvan.arch import ARCHS
from mmvan.checkpoint.convert import convert_state_dict
from mmvan.checkpoint.layouts import HUGGINGFACE, LAYOUTS, MMPRETRAIN, Layout
from mmvan.ops import use_backend

BY_LAYOUT = {peer.layout: peer for peer in PEERS}
# 9 tensors of each stage itself, 28 of each block (8 convolutions, 2 BatchNorms, 2 scales), 2 of
# the head.
TENSORS = {arch: 4 * 9 + 28 * sum(sizes.depths) + 2 for arch, sizes in ARCHS.items()}


def test_what_is_compared() -> None:
    assert [peer.package for peer in PEERS] == ["mmpretrain", "transformers"]
    assert [peer.eps for peer in PEERS] == [1e-5, 1e-6]
    assert (len(ARCHS), len(LAYOUTS), MODES) == (7, 5, ("train", "eval"))
    assert all(edge % 32 for shape in SHAPES for edge in shape[2:])


def test_the_written_table_is_complete_and_within_the_bounds() -> None:
    with Path(parity.__file__).with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cases = [(row["layout"], row["arch"], row["mode"]) for row in rows]
    assert cases == list(itertools.product([layout.name for layout in LAYOUTS], ARCHS, MODES))
    assert len(rows) == 70
    assert all(int(row["tensors_mapped"]) == TENSORS[row["arch"]] for row in rows)
    assert max(float(row["stages_max_error"]) for row in rows) < 1e-5
    assert max(float(row["logits_max_abs"]) for row in rows) < 1e-5
    assert max(float(row["gradients_max_rel"]) for row in rows) < 1e-4


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.package)
def test_outputs_gradients_and_statistics_are_the_peers(peer: Peer, arch: str) -> None:
    ours, theirs, mapped = build_pair(peer, arch, peer.layout)
    assert mapped == TENSORS[arch]
    share_weights(peer, ours, theirs)
    for mode, shape in zip(MODES, SHAPES, strict=True):
        assert_is_the_peers(peer, ours, theirs, mode, shape)


def share_weights(peer: Peer, ours: nn.Module, theirs: nn.Module) -> None:
    """Free one of two equal copies, 0.8 GB of the largest arch; the statistics stay apart."""
    own = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        if name := own_name(peer.layout, key):
            assert torch.equal(own[name], parameter), name
            own.pop(name).data = parameter.data
    assert not own


def assert_is_the_peers(
    peer: Peer, ours: nn.Module, theirs: nn.Module, mode: str, shape: tuple[int, ...]
) -> None:
    """In one mode."""
    got, expected, errors = run_pair(peer, ours, theirs, mode, torch.randn(shape))
    assert len(got.outputs.stages) == 4
    torch.testing.assert_close(got.outputs, expected.outputs, rtol=1e-5, atol=1e-5)
    # After training, the evaluation starts from statistics that each has kept for itself.
    assert got.buffers.keys() == expected.buffers.keys()
    torch.testing.assert_close(got.buffers, expected.buffers, rtol=1e-5, atol=1e-5)
    assert errors.keys() == dict(ours.named_parameters()).keys()
    assert max(errors.values()) < 1e-4, max(errors, key=lambda name: errors[name])


def test_transformers_differs_by_the_memory_layout_between_its_stages_only() -> None:
    """It hands maps on in channels_last, where kernels add up in another order."""

    def reorder(_module: nn.Module, _args: object, out: Tensor) -> Tensor:
        return out.contiguous(memory_format=torch.channels_last)

    peer = BY_LAYOUT[HUGGINGFACE]
    ours, theirs, _ = build_pair(peer, "b0", HUGGINGFACE)
    for stage in ours.backbone.stages:
        stage.register_forward_hook(reorder)
    with use_backend("phase_split"):  # Else these maps are computed in C, in yet another order.
        got, expected, errors = run_pair(peer, ours, theirs, "eval", torch.randn(SHAPES[1]))
    torch.testing.assert_close(got.outputs, expected.outputs, rtol=1e-6, atol=1e-6)
    assert max(errors.values()) < 1e-6


def test_the_last_layer_norm_of_transformers_computes_nothing() -> None:
    peer = BY_LAYOUT[HUGGINGFACE]
    _, theirs, _ = build_pair(peer, "b0", HUGGINGFACE)
    theirs.eval()
    x = torch.randn(SHAPES[0])
    logits = peer.run(theirs, x).logits
    nn.init.constant_(theirs.van.layernorm.weight, 7)
    nn.init.constant_(theirs.van.layernorm.bias, 7)
    assert torch.equal(peer.run(theirs, x).logits, logits)


@pytest.mark.parametrize("arch", ("b0", "b1"))
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_peers_weights_written_in_any_layout_load_alike(layout: Layout, arch: str) -> None:
    peer = BY_LAYOUT.get(layout, BY_LAYOUT[MMPRETRAIN])
    ours, theirs, mapped = build_pair(peer, arch, layout)
    assert mapped == TENSORS[arch]
    back = convert_state_dict(ours.state_dict(), peer.layout.name).state_dict
    weights = theirs.state_dict()
    idle = {"van.layernorm.weight", "van.layernorm.bias"}
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights.keys() - idle)
