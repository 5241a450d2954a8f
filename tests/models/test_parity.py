"""The same numbers as mmpretrain's VAN, which we did not write, with the same weights."""

import pytest
import torch
from mmpretrain.models.backbones.van import VAN as PeerVAN  # noqa: N811
from torch import Tensor, nn

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.checkpoint.layouts import MMPRETRAIN

# mmpretrain's LayerNorm has PyTorch's default eps; the authors' classification code has 1e-6.
PEER_EPS = {"type": "LN", "eps": 1e-5}


def pair(arch: str) -> tuple[VAN, PeerVAN]:
    """Our backbone and mmpretrain's (which knows B4 to B6 only as a dict) with random weights."""
    torch.manual_seed(0)
    settings = {key: list(value) for key, value in vars(ARCHS[arch]).items()}
    peer = PeerVAN(arch=settings, out_indices=(0, 1, 2, 3))
    for name, tensor in peer.state_dict().items():
        if "layer_scale" in name:
            tensor.normal_(0.02, 0.01)
        elif "running_mean" in name:
            tensor.normal_(0, 0.1)
        elif "running_var" in name:
            tensor.uniform_(0.5, 1.5)
    ours = VAN(arch, out_norm_cfg=PEER_EPS)
    ours.load_state_dict(peer.state_dict())
    return ours, peer


def outputs_and_gradients(model: nn.Module, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
    outputs = list(model(x))
    weights = [torch.linspace(-1, 1, out.shape[1]).view(-1, 1, 1) for out in outputs]
    sum((out * w).square().mean() for out, w in zip(outputs, weights, strict=True)).backward()
    return outputs, {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("mode", ("train", "eval"))
@pytest.mark.parametrize("arch", ARCHS)
def test_stage_outputs_and_gradients_equal_mmpretrains(arch: str, mode: str) -> None:
    ours, peer = (model.train(mode == "train") or model for model in pair(arch))
    x = torch.randn(2, 3, 33, 38)
    our_outputs, our_gradients = outputs_and_gradients(ours, x)
    peer_outputs, peer_gradients = outputs_and_gradients(peer, x)
    assert len(our_outputs) == len(peer_outputs) == 4
    for got, expected in zip(our_outputs, peer_outputs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    # A bias before BatchNorm has no gradient but rounding noise: compared with all, not by itself.
    scale = max(gradient.norm() for gradient in peer_gradients.values())
    errors = {
        name: (gradient - peer_gradients[MMPRETRAIN.key(name)]).norm()
        / (peer_gradients[MMPRETRAIN.key(name)].norm() + 1e-3 * scale)
        for name, gradient in our_gradients.items()
    }
    assert len(errors) == len(peer_gradients)
    assert max(errors.values()) < 1e-4, max(errors, key=lambda name: errors[name])
