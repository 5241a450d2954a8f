"""Training loops that continue an interrupted run exactly where it was.

They are MMEngine's loops with three differences. Every iteration begins with random numbers that
follow from the run's seed, the process and the iteration, so that none have to be saved; samples
likewise, see :mod:`mmvan.data.positions`. A run that is resumed starts its loader at the next
batch, in the middle of an epoch too, without loading those before it. And an evaluation that the
interruption took away is done first.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop as MMEngineEpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as MMEngineIterBasedTrainLoop
from mmengine.runner import Runner

from mmvan.data.positions import ResumableLoader, seed_everything
from mmvan.data.shares import Position, Stage, batch_size_of, rest_of
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


class _Begin(NamedTuple):
    """Where the processes that run began to.

    Args:
        iteration: Behind which they did.
        number: Of the pass over the data.
        earlier: What others had of that pass.
        batches: What these have of it, if it ends.
    """

    iteration: int = 0
    number: int = 0
    earlier: tuple[Stage, ...] = ()
    batches: int | None = None


def _is_endless(loader: ResumableLoader) -> bool:
    """Whether all of the run is one pass. With another batch sampler, the loader's own is none."""
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    return isinstance(sampler, InfiniteSampler)


def _set_epoch(loader: ResumableLoader, epoch: int) -> None:
    """Let the sampler draw the order of another pass."""
    inner = getattr(loader.batch_sampler, "sampler", None)
    for sampler in (loader.sampler, inner):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)  # type: ignore[union-attr]


def _batches_left(loader: ResumableLoader, number: int, earlier: Sequence[Stage]) -> int:
    """Batches that these processes have of a pass."""
    if not earlier:
        return len(loader)
    _set_epoch(loader, number)
    return len(rest_of(loader.batch_sampler, earlier))


def _stage(loader: ResumableLoader, batches: int) -> Stage:
    """What these processes have had."""
    return Stage(get_world_size(), batch_size_of(loader.batch_sampler), batches)


def _continue_data(runner: Runner) -> None:
    """Go on behind what processes of another number have had, by the CheckpointHook's knowledge."""
    for hook in runner.hooks:
        if hasattr(hook, "continue_data"):
            hook.continue_data(runner)


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
        self._begin = _Begin()
        super().__init__(runner, _resumable(runner, dataloader), *args, **options)
        runner.register_hook(_PendingValidation(), priority="LOWEST")

    def run(self) -> Any:
        """Launch the training."""
        self.dataloader: ResumableLoader = _reseeded(self.runner, self.dataloader, self._source)
        _continue_data(self.runner)
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

    def position(self, epoch: int, iteration: int) -> Position:
        """What of the data is behind a checkpoint."""
        begin = self._begin
        if epoch != begin.number:
            begin = _Begin(epoch * len(self.dataloader))
        return Position(
            epoch, (*begin.earlier, _stage(self.dataloader, iteration - begin.iteration))
        )

    def go_on(self, number: int, earlier: Sequence[Stage], done: int) -> None:
        """Go on in a pass that other processes began.

        Args:
            number: Of the pass.
            earlier: What they had of it.
            done: Batches of the rest that each of the present processes has had.
        """
        # So that the pass ends with the iteration that all passes of these processes end with.
        whole = len(self.dataloader)
        first = (number + 1) * whole - _batches_left(self.dataloader, number, earlier)
        self._begin = _Begin(first, number, tuple(earlier))
        self._iter = min(first + done, (number + 1) * whole)
        # The accumulation of gradients counts iterations, too.
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model, self._iter, self._max_iters
        )

    def validation_is_due(self) -> bool:
        """Whether the last iteration that was done is followed by an evaluation."""
        ended = self._iter == self._epoch * len(self.dataloader)
        planned = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        return ended and self._epoch >= self.val_begin and planned

    def _advance(self) -> int:
        """Pass over what is done of this epoch; returns the number of batches."""
        place = self.position(self._epoch, self._iter)
        *earlier, own = place.stages
        self.dataloader.batches.advance(self._epoch, own.batches, earlier)
        return self._iter - self._epoch * len(self.dataloader)


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
        self._begin = _Begin()
        super().__init__(runner, _resumable(runner, dataloader), *args, **options)
        runner.register_hook(_PendingValidation(), priority="LOWEST")

    def run(self) -> Any:
        """Launch the training."""
        self.dataloader: ResumableLoader = _reseeded(self.runner, self.dataloader, self._source)
        self.dataloader_iterator = _Batches(self.dataloader, self._iter)
        _continue_data(self.runner)
        return super().run()

    def run_iter(self, data_batch: Any) -> None:
        """Iterate over one batch, with random numbers of its own."""
        _seed_iteration(self.runner)
        super().run_iter(data_batch)

    def position(self, _epoch: int, iteration: int) -> Position:
        """What of the data is behind a checkpoint."""
        begin = self._begin
        done = iteration - begin.iteration
        if _is_endless(self.dataloader):
            return Position(0, (*begin.earlier, _stage(self.dataloader, done)))
        whole = len(self.dataloader)
        in_first = whole if begin.batches is None else begin.batches
        if done < in_first:
            stages = (*begin.earlier, _stage(self.dataloader, done))
            return Position(begin.number, stages)
        passes, done = divmod(done - in_first, whole)
        return Position(begin.number + 1 + passes, (_stage(self.dataloader, done),))

    def go_on(self, number: int, earlier: Sequence[Stage], done: int) -> None:
        """Go on in a pass that other processes began.

        Args:
            number: Of the pass.
            earlier: What they had of it.
            done: Batches of the rest that each of the present processes has had.
        """
        left = None
        if not _is_endless(self.dataloader):
            left = _batches_left(self.dataloader, number, earlier)
        self._begin = _Begin(self._iter - done, number, tuple(earlier), left)
        self.dataloader_iterator.go_on(number, earlier, done)

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
        self._batches = self._from(0, (), done)

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

    def go_on(self, number: int, earlier: Sequence[Stage], done: int) -> None:
        """Go on in a pass that other processes began."""
        self._batches = self._from(number, earlier, done)

    def _from(self, number: int, earlier: Sequence[Stage], done: int) -> Iterator[Any]:
        while True:
            _set_epoch(self._loader, number)
            done -= self._loader.batches.advance(number, done, earlier)
            if not done:
                yield from self._loader
            number, earlier = number + 1, ()


class _PendingValidation(Hook):
    """Does the evaluation that would have followed the last iteration of an interrupted run."""

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        validated = getattr(loop, "validated", False)  # The CheckpointHook knows.
        owed = runner.iter and not validated and loop.validation_is_due()
        if owed and runner.val_loop is not None:
            runner.val_loop.run()
