"""Loaders that start anywhere, and whose samples depend on nothing but the seed and their place.

A loader's batches are numbered. Each sample is loaded under random numbers of its own, made of the
run's seed, the process, the pass over the data, the batch and its place in that. So it is the same
sample whatever worker loads it, whatever was loaded ahead, and whether the run was interrupted
before. To go on at some batch, nothing but indices has to be drawn up to there.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mmvan.data.shares import Stage, rest_of
from mmvan.errors import ConfigError

# Attributes of a ResumableLoader; all others are those of the loader inside.
_OWN = ("batches", "loader", "sampler", "batch_sampler", "dataset")


class Place(NamedTuple):
    """What a sampler asks for, and where in the run.

    Args:
        index: Index in the dataset.
        key: The run's seed and the numbers of the process, pass, batch and sample.
    """

    index: Any
    key: tuple[int, ...]


def seed_everything(key: tuple[int, ...]) -> None:
    """Start the random numbers of Python, NumPy and PyTorch, of all devices, from some numbers.

    Args:
        key: Any numbers from 0; other ones give unrelated random numbers (NumPy's SeedSequence).
    """
    torch.manual_seed(seed_cpu(key))


def seed_cpu(key: tuple[int, ...]) -> int:
    """As :func:`seed_everything`, without the generators of other devices.

    Samples are loaded on the CPU, where PyTorch takes nine times as long to note a seed for a GPU
    that the process has not used yet.

    Returns:
        int: The seed that PyTorch's generator was given.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]) << 32 | int(words[1]))
    np.random.seed(int(words[2]))
    seed = int(words[3]) << 32 | int(words[0])
    torch.default_generator.manual_seed(seed)
    return seed


class SeededDataset(Dataset[Any]):
    """Loads each sample under random numbers of its own; else the dataset that it is given.

    Args:
        dataset: Any dataset with indices.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitem__(self, place: Any) -> Any:
        """Load the sample at a :class:`Place`; any other index is the dataset's own."""
        if not isinstance(place, Place):
            return self.dataset[place]
        seed_cpu(place.key)
        return self.dataset[place.index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # Not there yet, while it is unpickled in a worker.
            raise AttributeError(name)
        return getattr(self.dataset, name)


class NumberedBatches:
    """Batches of indices with the place of each sample in the run.

    Args:
        batches: A batch sampler.
        seed: The run's seed.
        rank: Number of the process.
    """

    def __init__(self, batches: Any, seed: int, rank: int) -> None:
        self.batches = batches
        self.seed = seed
        self.rank = rank
        self.epoch = 0
        self._rest: tuple[int, Iterator[Any]] | None = None

    def advance(self, epoch: int, count: int, earlier: Sequence[Stage] = ()) -> int:
        """Let the next pass be that of ``epoch``, without its first ``count`` batches.

        Args:
            epoch: Number of the pass.
            count: Batches of this process that were had.
            earlier: What other processes had of the pass before.

        Returns:
            int: How many batches were left out: fewer than ``count`` if the pass has no more.
        """
        batches = iter(rest_of(self.batches, earlier) if earlier else self.batches)
        passed = sum(1 for _ in itertools.islice(batches, count))
        first = sum(stage.batches for stage in earlier) + passed
        self.epoch, self._rest = epoch, (first, batches)
        return passed

    def __iter__(self) -> Iterator[list[Place]]:
        """The batches from where :meth:`advance` left off, or all of them."""
        start, batches = self._rest or (0, iter(self.batches))
        epoch, self._rest = self.epoch, None
        for number, indices in enumerate(batches, start):
            key = (self.seed, self.rank, epoch, number)
            yield [Place(index, (*key, i)) for i, index in enumerate(indices)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.batches, name)


class ResumableLoader:
    """A loader that can start at any batch; all else is the loader that it is made from.

    Args:
        loader: A loader of PyTorch's. Its workers are not started.
        seed: The run's seed.
        rank: Number of the process.

    Raises:
        ConfigError: The loader has no batches of indices.
    """

    def __init__(self, loader: DataLoader[Any], seed: int, rank: int) -> None:
        if loader.batch_sampler is None:
            raise ConfigError(
                "train_dataloader: a loader without a batch sampler (an iterable dataset, or "
                "batch_size=None) cannot be resumed exactly. Use MMEngine's own loop: "
                "train_cfg.type='EpochBasedTrainLoop' or 'IterBasedTrainLoop'"
            )
        self.batches = NumberedBatches(loader.batch_sampler, seed, rank)
        self.loader: DataLoader[Any] = DataLoader(
            SeededDataset(loader.dataset),
            batch_sampler=self.batches,  # type: ignore[arg-type]
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )
        # Their owners keep on calling set_epoch and changing the pipeline.
        self.sampler: Any = loader.sampler
        self.batch_sampler: Any = loader.batch_sampler
        self.dataset: Any = loader.dataset

    def replace_dataset(self, dataset: Any) -> None:
        """Load from another dataset with the same indices, such as a wrapper around this one."""
        self.loader.dataset.dataset = dataset  # type: ignore[attr-defined]
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        """Load batches; nothing happens before the first one is asked for."""
        yield from self.loader

    def __len__(self) -> int:
        """Batches of a whole pass."""
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Hooks that change the pipeline, such as mmdet's, let workers start anew by attributes of
        # PyTorch's loader.
        owner = self if name in _OWN else self.loader
        object.__setattr__(owner, name, value)
