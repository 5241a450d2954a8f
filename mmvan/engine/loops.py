"""Training loops that continue an interrupted run exactly where it was.

They are MMEngine's loops with three differences. Every iteration begins with random numbers that
follow from the run's seed, the process and the iteration, so that none have to be saved; samples
likewise, see :mod:`mmvan.data.positions`. A run that is resumed starts its loader at the next
batch, in the middle of an epoch too, without loading those before it. And an evaluation that the
interruption took away is done first.
"""

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from mmengine.runner import Runner

from mmvan.data.positions import ResumableLoader, seed_everything
from mmvan.registry import LOOPS

# Keeps the random numbers of an iteration apart from those of a sample.
_ITERATIONS = 2**31


def _resumable(runner: Runner, dataloader: Any) -> ResumableLoader:
    """Build the loader of this process from its config."""
    if isinstance(dataloader, dict):
        dataloader = runner.build_dataloader(
            dataloader,
            seed=runner.seed,
            diff_rank_seed=runner._randomness_cfg.get("diff_rank_seed", False),
        )
    return ResumableLoader(dataloader, runner.seed, get_rank())


def _reseeded(runner: Runner, loader: ResumableLoader, source: Any) -> ResumableLoader:
    """The loader itself, or one for the seed of the run that is resumed."""
    if loader.batches.seed == runner.seed or not isinstance(source, dict):
        return loader
    return _resumable(runner, {**source, "dataset": loader.dataset})


def _seed_iteration(runner: Runner) -> None:
    seed_everything((runner.seed, get_rank(), _ITERATIONS, runner.iter))


@LOOPS.register_module()
class EpochBasedTrainLoop(MMEngineEpochBasedTrainLoop):
    """MMEngine's loop over epochs, which can be resumed exactly, in the middle of an epoch too.

    Args:
        runner: The runner.
        dataloader: Config of the loader, or a loader.
        *args: As for MMEngine's loop.
        **options: As for MMEngine's loop.
    """

    def __init__(self, runner: Runner, dataloader: Any, *args: Any, **options: Any) -> None:
        self._source = dataloader
        self._done_samples: int | None = None
        super().__init__(runner, _resumable(runner, dataloader), *args, **options)
        runner.register_hook(_PendingValidation(), priority="LOWEST")

    def run(self) -> Any:
        """Launch the training."""
        self.dataloader: ResumableLoader = _reseeded(self.runner, self.dataloader, self._source)
        return super().run()

    def run_epoch(self) -> None:
        """Iterate over what is left of one epoch."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        start = self._advance()
        for idx, data_batch in enumerate(self.dataloader, start):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        self._iter = self._epoch * len(self.dataloader)

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Iterate over one batch, with random numbers of its own."""
        _seed_iteration(self.runner)
        super().run_iter(idx, data_batch)

    def batches_done(self, epoch: int, iteration: int) -> int:
        """Batches of the current pass over the data that a checkpoint has behind it."""
        return iteration - epoch * len(self.dataloader)

    def continue_after(self, samples: int) -> None:
        """Go on behind so many samples of this epoch, counted over all processes of another run."""
        self._done_samples = samples // get_world_size()
        batches = self._done_samples // self.dataloader.batch_sampler.batch_size
        self._iter = self._epoch * len(self.dataloader) + min(batches, len(self.dataloader))

    def validation_is_due(self) -> bool:
        """Whether the last iteration that was done is followed by an evaluation."""
        ended = self._iter == self._epoch * len(self.dataloader)
        planned = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        return ended and self._epoch >= self.val_begin and planned

    def _advance(self) -> int:
        """Pass over what is done of this epoch; returns the number of batches."""
        start = self._iter - self._epoch * len(self.dataloader)
        if self._done_samples is None:
            self.dataloader.batches.advance(self._epoch, start)
        else:
            self.dataloader.batches.advance_samples(self._epoch, self._done_samples)
        self._done_samples = None
        return start


@LOOPS.register_module()
class IterBasedTrainLoop(MMEngineIterBasedTrainLoop):
    """MMEngine's loop over iterations, which can be resumed exactly and without a replay.

    Args:
        runner: The runner.
        dataloader: Config of the loader, or a loader.
        *args: As for MMEngine's loop.
        **options: As for MMEngine's loop.
    """

    def __init__(self, runner: Runner, dataloader: Any, *args: Any, **options: Any) -> None:
        self._source = dataloader
        super().__init__(runner, _resumable(runner, dataloader), *args, **options)
        runner.register_hook(_PendingValidation(), priority="LOWEST")

    def run(self) -> Any:
        """Launch the training."""
        self.dataloader: ResumableLoader = _reseeded(self.runner, self.dataloader, self._source)
        self.dataloader_iterator = _Batches(self.dataloader, self._iter)
        return super().run()

    def run_iter(self, data_batch: Any) -> None:
        """Iterate over one batch, with random numbers of its own."""
        _seed_iteration(self.runner)
        super().run_iter(data_batch)

    def batches_done(self, _epoch: int, iteration: int) -> int:
        """Batches that a checkpoint has behind it."""
        return iteration

    def continue_after(self, samples: int) -> None:
        """Go on behind so many samples, counted over all processes of another run."""
        self.dataloader_iterator.continue_after(samples // get_world_size())

    def validation_is_due(self) -> bool:
        """Whether the last iteration that was done is followed by an evaluation."""
        planned = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return self._iter >= self.val_begin and planned


class _Batches:
    """The batches of all passes over the data, from some iteration on.

    Args:
        loader: The loader; a sampler without end makes one pass of it.
        done: Batches that an earlier run has had. MMEngine's loop asks for them once more to drop
            them, one by one or by ``skip_iter``: they are not loaded.
    """

    def __init__(self, loader: ResumableLoader, done: int) -> None:
        self._loader = loader
        self._dropped = done
        self._batches = self._from(done)

    def __iter__(self) -> "_Batches":
        return self

    def __next__(self) -> Any:
        if self._dropped:
            self._dropped -= 1
            return None
        return next(self._batches)

    def skip_iter(self, _number: int) -> None:
        """Drop what was had before."""
        self._dropped = 0

    def continue_after(self, samples: int) -> None:
        """Go on behind so many samples of this process instead of behind whole batches."""
        self._batches = self._behind(samples)

    def _from(self, done: int, epoch: int = 0) -> Iterator[Any]:
        while True:
            self._set_epoch(epoch)
            done -= self._loader.batches.advance(epoch, done)
            if not done:
                yield from self._loader
            epoch += 1

    def _behind(self, samples: int) -> Iterator[Any]:
        epoch = 0
        if not isinstance(self._loader.sampler, InfiniteSampler):
            epoch, samples = divmod(samples, len(self._loader.sampler))
        self._set_epoch(epoch)
        self._loader.batches.advance_samples(epoch, samples)
        yield from self._loader
        yield from self._from(0, epoch + 1)

    def _set_epoch(self, epoch: int) -> None:
        inner = getattr(self._loader.batch_sampler, "sampler", None)
        for sampler in (self._loader.sampler, inner):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)  # type: ignore[union-attr]


class _PendingValidation(Hook):
    """Does the evaluation that would have followed the last iteration of an interrupted run."""

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        validated = getattr(loop, "validated", False)  # The CheckpointHook knows.
        owed = runner.iter and not validated and loop.validation_is_due()
        if owed and runner.val_loop is not None:
            runner.val_loop.run()
