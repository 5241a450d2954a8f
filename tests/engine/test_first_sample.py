"""The first sample leaves nothing in the transforms of a dataset."""

from typing import Any

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset

from mmvan.data.tolerant import TolerantDataset
from mmvan.engine.first_sample import first_sample


class Remembering:
    """A transform such as CachedMosaic."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, results: Any) -> Any:
        self.seen.append(results)
        return results


class Numbers(BaseDataset):
    def load_data_list(self) -> list[Any]:
        return [{"number": number} for number in (7, 8)]


class Uncopied(Numbers):
    def __copy__(self) -> Any:
        raise TypeError


@pytest.mark.parametrize(
    "wrap",
    (
        lambda data: data,
        lambda data: ConcatDataset([data, data]),
        lambda data: TolerantDataset(RepeatDataset(data, 2)),
    ),
    ids=("plain", "several", "wrapped"),
)
def test_transforms_remember_nothing(wrap: Any) -> None:
    transform = Remembering()
    data = Numbers(pipeline=[transform])
    assert first_sample(wrap(data))["number"] == 7
    assert transform.seen == []
    assert data[0]["number"] == 7
    assert len(transform.seen) == 1


def test_what_cannot_be_copied_is_taken_itself() -> None:
    assert first_sample(Uncopied())["number"] == 7
