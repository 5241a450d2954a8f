import pytest
import torch

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.checkpoint.shapes import backbone_shapes


@pytest.mark.parametrize("arch", ARCHS)
def test_shapes_are_those_of_the_model(arch: str) -> None:
    with torch.device("meta"):
        state_dict = VAN(arch, in_channels=4).state_dict()
    assert backbone_shapes(ARCHS[arch], 4) == {k: v.shape for k, v in state_dict.items()}
