import random

import numpy as np
import torch

from mmvan.engine.nan_file import from_plain, to_plain
from mmvan.engine.random_state import get_random_state, set_random_state


def draw() -> tuple[float, float, float]:
    return random.gauss(0, 1), float(np.random.randn()), float(torch.randn(()))


def test_the_same_numbers_come_again_also_from_a_file() -> None:
    draw()  # Gaussian numbers come in pairs, of which one is kept.
    state = get_random_state()
    stored = to_plain(state, "state")
    expected = [draw() for _ in range(3)]
    for each in (state, from_plain(stored)):
        set_random_state(each)
        assert [draw() for _ in range(3)] == expected
