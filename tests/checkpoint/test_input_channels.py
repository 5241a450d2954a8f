"""Other numbers of input channels: as timm fits them, when asked, and else a word."""

from pathlib import Path

import pytest
import torch
from timm.models._manipulate import adapt_input_conv as timms

from mmvan import VAN
from mmvan.checkpoint import pretrained
from mmvan.checkpoint.input_channels import adapt_input_conv
from mmvan.checkpoint.layouts import HUGGINGFACE, MMVAN, OFFICIAL
from mmvan.errors import CheckpointError
from tests.checkpoint.test_adapt import SMALL, weights


@pytest.mark.parametrize("channels", (1, 2, 4, 6, 7))
def test_the_weights_are_timms(channels: int) -> None:
    weight = torch.randn(8, 3, 7, 7)
    torch.testing.assert_close(adapt_input_conv(weight, channels), timms(channels, weight))


@pytest.mark.parametrize("layout", (MMVAN, OFFICIAL, HUGGINGFACE), ids=lambda layout: layout.name)
def test_init_cfg_fits_a_file_when_asked(
    layout: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(pretrained, "print_log", lambda line, **_: lines.append(line))
    state = weights(layout, "backbone.")
    torch.save(state, tmp_path / "rgb.pth")
    file = {"type": "Pretrained", "checkpoint": str(tmp_path / "rgb.pth")}
    grey = VAN(SMALL, in_channels=1, init_cfg={**file, "adapt_in_channels": True})
    grey.init_weights()
    rgb = VAN(SMALL, init_cfg={**file, "adapt_in_channels": True})
    rgb.init_weights()
    image = torch.rand(1, 1, 32, 32)
    for one, other in zip(grey.eval()(image), rgb.eval()(image.expand(1, 3, 32, 32)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert lines == [
        f"VAN backbone: the 3 input channels of backbone.{layout.stem} are summed to 1"
    ]
    with pytest.raises(CheckpointError, match="adapt_in_channels=True"):
        VAN(SMALL, in_channels=4, init_cfg=file).init_weights()
