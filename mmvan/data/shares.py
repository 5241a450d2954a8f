"""What is left of a pass over the data when the number of processes has changed in it.

MMEngine's samplers give every n-th sample of one order to each of n processes, and batch samplers
group them as they like. So what n processes have had is known from their number and that of their
batches alone: it is drawn again, without loading anything. Other processes share the rest, in the
same order.
"""

import copy
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, Sampler


class Stage(NamedTuple):
    """A part of a pass that the same processes had.

    Args:
        ranks: How many they were.
        batch_size: Samples in a batch of each of them.
        batches: Batches that each of them had.
    """

    ranks: int
    batch_size: int
    batches: int

    @property
    def samples(self) -> int:
        """Of all processes together."""
        return self.ranks * self.batch_size * self.batches


class Position(NamedTuple):
    """What of the data a run has had.

    Args:
        number: Of the pass over the data that it is in.
        stages: What was had of that pass; the last one is that of the processes that run.
    """

    number: int
    stages: tuple[Stage, ...]

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Position":
        """Read what :meth:`to_plain` gave."""
        return cls(values["pass"], tuple(Stage(*stage) for stage in values["stages"]))

    def to_plain(self) -> dict[str, Any]:
        """Numbers and lists alone, for a checkpoint."""
        return {"pass": self.number, "stages": [list(stage) for stage in self.stages]}


def batch_size_of(batches: Any) -> int:
    """Samples in a batch of a batch sampler; 1 where it does not tell."""
    size = getattr(batches, "batch_size", None)
    if isinstance(size, Sequence):  # From several datasets.
        return sum(size)
    return 1 if size is None else int(size)


def shares_are_known(batches: Any) -> bool:
    """Whether what other processes had can be drawn: by MMEngine's two samplers, not by others."""
    sampler = getattr(batches, "sampler", None)
    return type(sampler) in (DefaultSampler, InfiniteSampler) and isinstance(
        getattr(batches, "batch_size", None), int
    )


def rest_of(batches: Any, earlier: Sequence[Stage]) -> Any:
    """This process's batches of what earlier processes have left of a pass.

    Args:
        batches: A batch sampler for which :func:`shares_are_known`.
        earlier: What was had of the pass, in order.

    Returns:
        Any: A batch sampler like the given one.
    """
    had: Counter[Any] = Counter()
    for stage in earlier:
        drawn: list[Any] = []
        for rank in range(stage.ranks):
            share = _Share(batches.sampler, had, rank, stage.ranks)
            of_rank = _regrouped(batches, share, stage.batch_size)
            drawn += [index for batch in islice(of_rank, stage.batches) for index in batch]
        had.update(drawn)
    own = _Share(batches.sampler, had, batches.sampler.rank, batches.sampler.world_size)
    return _regrouped(batches, own, batches.batch_size)


class _Share(Sampler[Any]):
    """Every n-th of the samples that are left.

    Args:
        sampler: Whose order is shared, at the epoch that it is set to.
        had: How often each index was had: so many times it is passed over.
        rank: Number of the process.
        ranks: Their number.
    """

    def __init__(self, sampler: Any, had: Counter[Any], rank: int, ranks: int) -> None:
        self.dataset = sampler.dataset  # Batch samplers ask it for sizes of images.
        self.rank, self.world_size = rank, ranks
        self._sampler, self._had = sampler, had.copy()

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._sampler, InfiniteSampler):
            return islice(self._left(), self.rank, None, self.world_size)
        left = list(self._left())
        if self._sampler.round_up and left:  # Some come twice, so that all get as many.
            total = math.ceil(len(left) / self.world_size) * self.world_size
            left = (left * math.ceil(total / len(left)))[:total]
        return iter(left[self.rank :: self.world_size])

    def __len__(self) -> int:
        if isinstance(self._sampler, InfiniteSampler):
            return len(self._sampler)
        return sum(1 for _ in self)

    def _left(self) -> Iterator[Any]:
        had = self._had.copy()
        for index in _order_of_all(self._sampler):
            if had[index]:
                had[index] -= 1
            else:
                yield index


def _order_of_all(sampler: Any) -> Iterator[Any]:
    """The order that processes share, as the only one gets it."""
    alone = copy.copy(sampler)
    alone.rank, alone.world_size = 0, 1
    if isinstance(sampler, InfiniteSampler):
        alone.indices = alone._indices_of_rank()  # Its own may have been begun.
    else:
        alone.num_samples = alone.total_size = len(sampler.dataset)
    return iter(alone)


def _regrouped(batches: Any, sampler: _Share, batch_size: int) -> Any:
    """The same kind of batch sampler over other samples."""
    if type(batches) is BatchSampler:
        return BatchSampler(sampler, batch_size, batches.drop_last)
    kept = {id(batches.sampler): sampler, id(sampler.dataset): sampler.dataset}
    regrouped = copy.deepcopy(batches, kept)
    regrouped.batch_size = batch_size
    return regrouped
