from typing import Any

import pytest

from mmvan.tune.workload import Workload


@pytest.fixture
def workload() -> Workload:
    return make_workload()


def make_workload(**changes: Any) -> Workload:
    values: dict[str, Any] = {
        "embed_dims": (16, 32),
        "depths": (2, 3),
        "ffn_ratios": (1, 1),
        "batch": 2,
        "height": 32,
        "width": 24,
        "mode": "training",
        "device": "cpu",
    }
    return Workload(**{**values, **changes})
