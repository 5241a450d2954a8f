"""What is added from outside the package, in the one place that CONTRIBUTING names for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmvan import VAN
from mmvan.arch import ARCHS, Arch
from mmvan.checkpoint.convert import convert_state_dict
from mmvan.checkpoint.layouts import LAYOUTS, OFFICIAL, Layout
from mmvan.errors import ModelError
from mmvan.ops import BACKENDS, add_kernels, use_backend
from mmvan.ops.backends import KERNELS
from tests.plugin.kernels import launch

THEIRS: Layout = replace(
    OFFICIAL, name="theirs", block="level{i}.{j}", inner={**OFFICIAL.inner, "norm1": "first_norm"}
)


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    ARCHS["nano"] = Arch((8, 16), (1, 2), (2, 2))
    LAYOUTS.append(THEIRS)
    add_kernels("theirs", "tests.plugin.kernels")
    yield
    BACKENDS.remove("theirs")
    del KERNELS["theirs"]
    LAYOUTS.remove(THEIRS)
    del ARCHS["nano"]


@MODELS.register_module()
class HeadOfAUser(BaseModule):
    """A head that takes what the backbone says of itself."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, 1, 1) for channels in in_channels)

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        return [conv(x) for conv, x in zip(self.convs, maps, strict=True)]


def test_a_variant_and_a_head() -> None:
    backbone = MODELS.build({"type": "mmvan.VAN", "arch": "nano"})
    head = MODELS.build({"type": "HeadOfAUser", "in_channels": backbone.out_channels})
    outputs = head(backbone(torch.rand(2, 3, 32, 32)))
    assert [tuple(out.shape) for out in outputs] == [(2, 1, 8, 8), (2, 1, 4, 4)]


def test_a_layout_is_loaded_by_pytorch_and_by_init_cfg_and_converted(tmp_path: Path) -> None:
    source = VAN("nano")
    state = {THEIRS.key(key): value for key, value in source.state_dict().items()}
    assert "level2.1.first_norm.weight" in state
    plain = VAN("nano")
    plain.load_state_dict(state)
    torch.save(state, tmp_path / "theirs.pth")
    file = {"type": "Pretrained", "checkpoint": str(tmp_path / "theirs.pth")}
    wholly = VAN("nano", init_cfg=file)
    wholly.init_weights()
    for model in (plain, wholly):
        torch.testing.assert_close(model.state_dict(), source.state_dict(), rtol=0, atol=0)
    converted = convert_state_dict(state, "official")
    assert converted.source == "theirs"
    assert "block2.1.norm1.weight" in converted.state_dict


def test_kernels_compute_whole_models_and_their_gradients() -> None:
    model, images = VAN("nano", drop_path_rate=0), torch.rand(2, 3, 32, 32)
    expected = gradients(model, images)
    launch.calls.clear()
    with use_backend("theirs"):
        found = gradients(model, images)
    assert launch.calls == {"pair": 3, "gelu": 3, "pair_backward": 3, "gelu_backward": 3}
    torch.testing.assert_close(found, expected)


def gradients(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    sum(out.square().mean() for out in model(images)).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_the_name_of_another_backend_is_refused() -> None:
    with pytest.raises(ModelError, match="there is a backend 'native' already"):
        add_kernels("native", "tests.plugin.kernels")
