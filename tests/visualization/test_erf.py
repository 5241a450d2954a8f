import numpy as np
import pytest
import torch
from torch import nn

from mmvan.errors import ConfigError
from mmvan.models.van import VAN, init_as_authors
from mmvan.visualization.erf import effective_receptive_field, plot, square_of_share


def ones(kernel: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(1, 1, kernel, stride, kernel // 2, bias=False)
    nn.init.ones_(conv.weight)
    return conv


def test_two_convolutions_are_a_triangle() -> None:
    field = effective_receptive_field(nn.Sequential(ones(3), ones(3)), [torch.rand(1, 1, 9, 9)] * 2)
    expected = np.zeros((9, 9))
    expected[2:7, 2:7] = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1])
    assert np.array_equal(field, expected)


def test_it_is_the_mean_over_images() -> None:
    images = [torch.full((1, 1, 5, 5), value) for value in (1.0, 3.0)]
    field = effective_receptive_field(lambda x: x**2, images)  # The gradient is 2 x.
    assert field[2, 2] == pytest.approx(4)
    assert field.sum() == field[2, 2]


def test_side_of_the_square_that_holds_a_share() -> None:
    field = np.zeros((9, 9))
    field[3:6, 3:6] = 1
    field[4, 4] = 8  # Half of 16.
    assert square_of_share(field, 0.5) == 1
    assert square_of_share(field, 0.99) == 3
    assert square_of_share(np.ones((8, 8)), 1.0) == 8


def test_before_training_it_is_the_receptive_field_of_one_block() -> None:
    """Behind a new LayerNorm, too, whose channels add up to a constant."""
    torch.manual_seed(0)
    backbone = VAN({"embed_dims": (8,), "depths": (1,), "ffn_ratios": (2,)}).eval()
    backbone.apply(init_as_authors)
    field = effective_receptive_field(lambda x: backbone(x)[0], [torch.rand(1, 3, 160, 160)])
    # Attention reaches 23 units, the feed-forward half one more on each side; the patch embedding
    # has stride 4 and 7 taps.
    side = (23 + 2 - 1) * 4 + 7
    for axis in (0, 1):
        (reached,) = field.sum(axis).nonzero()
        assert reached[-1] - reached[0] + 1 == side == 103
    # Rounding errors would be a ten-millionth of it.
    assert 1e-3 < field.max() < 1e3


@pytest.mark.parametrize("value", (0.0, float("nan"), float("inf")))
def test_a_field_that_cannot_be_drawn_is_an_error(value: float) -> None:
    with pytest.raises(ConfigError, match=r"erf: the largest gradient of stage 3 is (0|nan|inf)"):
        plot([("stage 3", np.full((4, 4), value))], "")
