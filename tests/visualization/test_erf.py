import numpy as np
import pytest
import torch
from torch import nn

from mmvan.visualization.erf import effective_receptive_field, square_of_share


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
