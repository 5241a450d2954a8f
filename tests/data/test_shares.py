"""Processes of any number, one after the other, have each sample of a pass once."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
from mmdet.datasets.samplers import AspectRatioBatchSampler, ClassAwareSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler

from mmvan.data.shares import Position, Stage, batch_size_of, rest_of, shares_are_known

SIZE = 23
# What was had by whom before a pass was left to others: a prime number of samples fits nobody.
CHANGES = (
    ((2, 2, 3), (1, 2, 4)),
    ((1, 4, 1), (2, 2, 2), (3, 1, 1)),
    ((3, 2, 2), (2, 3, 1)),
    ((4, 1, 1), (1, 3, 2), (2, 2, 2)),
)


class Images:
    """What samplers see of a dataset: wide and high images."""

    def __len__(self) -> int:
        return SIZE

    def get_data_info(self, index: int) -> dict[str, int]:
        return {"width": 10 + index % 3, "height": 11}


def batches_of(
    kind: type, batches: type, rank: int, ranks: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A process's batch sampler in the second epoch, as its Runner makes it."""
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (rank, ranks))
    sampler = kind(Images(), seed=5)
    sampler.set_epoch(1)
    return batches(sampler, size, False)


def all_of(batches: Sequence[Any], count: int | None = None) -> list[int]:
    """The samples of the first batches of all processes, in turns."""
    turns = zip(*(islice(one, count) for one in batches), strict=False)
    return [index for turn in turns for batch in turn for index in batch]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("batches", (BatchSampler, AspectRatioBatchSampler))
def test_an_epoch_has_each_sample_once(
    batches: type, changes: Sequence[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    had: list[int] = []
    earlier: list[Stage] = []
    for ranks, size, count in changes:
        everyone = [
            batches_of(DefaultSampler, batches, rank, ranks, size, monkeypatch)
            for rank in range(ranks)
        ]
        had += all_of([rest_of(one, earlier) for one in everyone], count)
        earlier.append(Stage(ranks, size, count))
    assert len(had) == len(set(had)) == sum(stage.samples for stage in earlier)
    last = [
        rest_of(batches_of(DefaultSampler, batches, rank, 2, 2, monkeypatch), earlier)
        for rank in range(2)
    ]
    rest = [index for one in last for batch in one for index in batch]
    counts = Counter(had + rest)
    assert set(counts) == set(range(SIZE))
    # Two processes get as many: an odd rest is made even by a sample that comes twice.
    assert counts.total() - SIZE == (SIZE - len(had)) % 2
    assert [len(one) for one in last] == [len(list(one)) for one in last]


def test_processes_that_do_not_round_up_repeat_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rest: list[int] = []
    for rank in range(2):
        batches = batches_of(DefaultSampler, BatchSampler, rank, 2, 2, monkeypatch)
        batches.sampler.round_up = False
        rest += [index for batch in rest_of(batches, [Stage(3, 2, 2)]) for index in batch]
    assert len(rest) == len(set(rest)) == SIZE - 12


@pytest.mark.parametrize("batches", (BatchSampler, AspectRatioBatchSampler))
def test_an_endless_order_goes_on_without_loss_or_repeat(
    batches: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    had: list[int] = []
    earlier: list[Stage] = []
    for ranks, size, count in ((2, 2, 9), (1, 3, 5), (3, 1, 300)):
        everyone = [
            batches_of(InfiniteSampler, batches, rank, ranks, size, monkeypatch)
            for rank in range(ranks)
        ]
        had += all_of([rest_of(one, earlier) for one in everyone], count)
        earlier.append(Stage(ranks, size, count))
    counts = Counter(had)
    assert set(counts) == set(range(SIZE))
    # Of 41 passes and a part; grouped by shape, a few wait for others of theirs.
    assert max(counts.values()) - min(counts.values()) <= (1 if batches is BatchSampler else 2)
    if batches is BatchSampler:
        alone = all_of([batches_of(InfiniteSampler, batches, 0, 1, 1, monkeypatch)], len(had))
        assert had != alone  # In turns of batches, not of samples;
        assert counts == Counter(alone)  # yet the same ones.


def test_the_order_is_that_of_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = batches_of(DefaultSampler, BatchSampler, 0, 1, 2, monkeypatch)
    whole = all_of([batches])
    assert all_of([rest_of(batches, [Stage(2, 2, 3)])]) == whole[12:]
    batches.sampler.set_epoch(2)
    assert all_of([rest_of(batches, [Stage(2, 2, 3)])]) != whole[12:]


def test_nothing_is_left_of_a_pass_that_was_had(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = batches_of(DefaultSampler, AspectRatioBatchSampler, 1, 2, 2, monkeypatch)
    rest = rest_of(batches, [Stage(3, 2, 4)])
    assert len(rest) == 0
    assert list(rest) == []


def test_other_samplers_do_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    known = batches_of(InfiniteSampler, AspectRatioBatchSampler, 0, 1, 2, monkeypatch)
    assert shares_are_known(known)
    other = BatchSampler(ClassAwareSampler.__new__(ClassAwareSampler), 2, False)
    assert not shares_are_known(other)
    known.batch_size = [1, 2]
    assert not shares_are_known(known)
    assert batch_size_of(known) == 3
    assert batch_size_of(object()) == 1


def test_a_position_is_read_as_it_was_written() -> None:
    position = Position(3, (Stage(2, 4, 5), Stage(1, 4, 2)))
    plain = position.to_plain()
    assert plain == {"pass": 3, "stages": [[2, 4, 5], [1, 4, 2]]}
    assert Position.from_plain(plain) == position
