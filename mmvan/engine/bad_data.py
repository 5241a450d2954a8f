"""Runs that survive bad data: what to replace, what to count, and when to stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner

from mmvan.data.faults import IMAGE_KINDS, MAX_PIXELS, Fault
from mmvan.data.positions import ResumableLoader
from mmvan.data.tolerant import TolerantDataset, marks, samples_of
from mmvan.errors import ConfigError, DataError
from mmvan.registry import HOOKS

__all__ = ["BadDataHook"]

EVALUATIONS = ("fail", "blank")
_INFO = "mmvan_bad_data"  # in the message hub, and so in checkpoints
_MAX_LISTED = 50


@HOOKS.register_module()
class BadDataHook(Hook):
    """Replaces bad samples in training, and refuses them in evaluation.

    In training, each bad sample is replaced by :class:`mmvan.data.tolerant.TolerantDataset`. What
    was replaced comes with the batch, so that it is counted in the step that uses it, whatever the
    workers have read ahead. Each file is reported once; after each epoch, and before each
    evaluation of a run by iterations, the numbers by kind and rank are.

    The run stops when more than ``min_count`` samples of a rank, and more than ``max_share`` of
    all that it has seen, were replaced. The counts of rank 0 are in the checkpoints.

    Evaluation never replaces: all bad samples are listed, and the run fails before the metrics.

    Args:
        max_share: Of the samples that a rank has seen, how many may be replaced.
        min_count: So many may be replaced whatever their share.
        evaluation: ``fail``, or ``blank``: what cannot be read is a grey image to the network, and
            its guess counts. Bad annotations fail in either case.
        max_pixels: The limit of pixels of an image.

    Raises:
        ConfigError: An argument has no usable value.
        DataError: During the run, as said above.
    """

    # Before hooks that take the loaders as they find them.
    priority = "VERY_HIGH"

    def __init__(
        self,
        max_share: float = 0.01,
        min_count: int = 10,
        evaluation: str = "fail",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not 0 <= max_share <= 1:
            raise ConfigError(f"BadDataHook: max_share is {max_share!r}; expected 0 to 1")
        if min_count < 0:
            raise ConfigError(f"BadDataHook: min_count is {min_count!r}; expected 0 or more")
        if evaluation not in EVALUATIONS:
            expected = " or ".join(map(repr, EVALUATIONS))
            raise ConfigError(f"BadDataHook: evaluation is {evaluation!r}; expected {expected}")
        if not 0 < max_pixels <= MAX_PIXELS:
            raise ConfigError(
                f"BadDataHook: max_pixels is {max_pixels!r}; expected 1 to {MAX_PIXELS}, above "
                "which Pillow refuses images"
            )
        self.max_share = max_share
        self.min_count = min_count
        self.evaluation = evaluation
        self.max_pixels = max_pixels
        self._by_iterations = False
        self.seen = 0
        self.replaced = 0
        self.kinds: Counter[str] = Counter()
        self.reported: set[str] = set()
        self._unreported: list[Fault] = []
        self._in_evaluation: list[Fault] = []

    def before_run(self, runner: Runner) -> None:
        """Make the training data tolerant; the runner has an optimizer only where it trains."""
        if isinstance(runner.optim_wrapper, (OptimWrapper, OptimWrapperDict)):
            self._by_iterations = isinstance(runner.train_loop, IterBasedTrainLoop)
            self._wrap(runner, runner.train_loop, "train_dataloader", blank=False)

    def before_train(self, runner: Runner) -> None:
        """Go on with the counts of a run that is resumed."""
        if _INFO in runner.message_hub.runtime_info and get_rank() == 0:
            counts = runner.message_hub.get_info(_INFO)
            self.seen, self.replaced = counts["seen"], counts["replaced"]
            self.kinds, self.reported = Counter(counts["kinds"]), set(counts["reported"])

    def before_val(self, runner: Runner) -> None:
        """Make the validation data tolerant until all of them were looked at."""
        self._wrap(runner, runner.val_loop, "val_dataloader", blank=self.evaluation == "blank")

    def before_test(self, runner: Runner) -> None:
        """Make the test data tolerant until all of them were looked at."""
        self._wrap(runner, runner.test_loop, "test_dataloader", blank=self.evaluation == "blank")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Count what the batch has, and stop if it is too much."""
        for sample in samples_of(data_batch):
            self.seen += 1
            faults = marks(sample)
            if faults:
                self.replaced += 1
                self.kinds.update(fault.kind for fault in faults)
                self._report(runner, faults)
        runner.message_hub.update_info(_INFO, self._counts())
        if self.replaced > max(self.min_count, self.max_share * self.seen):
            raise DataError(self._too_many())

    def after_train_epoch(self, runner: Runner) -> None:
        """Log a summary."""
        self._summarise(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin to list; log a summary where epochs have no end."""
        self._in_evaluation = []
        if self._by_iterations:  # which all processes agree about, whatever they have seen
            self._summarise(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin to list."""
        self._in_evaluation = []

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Collect the bad samples; after the last batch, fail if there were any."""
        self._evaluated(runner, data_batch, batch_idx + 1 == len(runner.val_loop.dataloader))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Collect the bad samples; after the last batch, fail if there were any."""
        self._evaluated(runner, data_batch, batch_idx + 1 == len(runner.test_loop.dataloader))

    def _wrap(self, runner: Runner, loop: Any, key: str, blank: bool) -> None:
        """Gives a loop a loader like its own, of the tolerant dataset."""
        dataset = loop.dataloader.dataset
        if isinstance(dataset, TolerantDataset):
            return
        tolerant = TolerantDataset(dataset, self.max_pixels, blank)
        if isinstance(loop.dataloader, ResumableLoader):
            loop.dataloader.replace_dataset(tolerant)
            return
        settings = runner.cfg.get(key)
        if not isinstance(settings, Mapping):
            runner.logger.warning(f"BadDataHook: {key} is no config; bad data will end the run")
            return
        iterates = getattr(loop, "dataloader_iterator", None)
        if iterates is not None:  # by iterations: its workers read the same data, with no guard
            iterates, loop.dataloader_iterator = type(iterates), None
        loop.dataloader = runner.build_dataloader(
            {**settings, "dataset": tolerant},
            seed=runner.seed,
            diff_rank_seed=runner.cfg.get("randomness", {}).get("diff_rank_seed", False),
        )
        if iterates is not None:
            loop.dataloader_iterator = iterates(loop.dataloader)

    def _counts(self) -> dict[str, Any]:
        """Plain values, which MMEngine saves with the message hub."""
        return {
            "seen": self.seen,
            "replaced": self.replaced,
            "kinds": dict(self.kinds),
            "reported": sorted(self.reported),
        }

    def _report(self, runner: Runner, faults: Iterable[Fault]) -> None:
        """Logs each file once: those of other ranks, whose logs are silent, with the summary."""
        for fault in faults:
            if fault.file not in self.reported:
                self.reported.add(fault.file)
                self._unreported.append(fault)
                runner.logger.warning(f"bad data, replaced by another sample: {fault}")

    def _summarise(self, runner: Runner) -> None:
        own = (self.seen, self.replaced, dict(self.kinds), self._unreported)
        self._unreported = []
        ranks = all_gather_object(own)
        if not any(replaced for _, replaced, _, _ in ranks):
            return
        for _, _, _, faults in ranks[1:]:
            self._report(runner, faults)
        self._unreported = []
        for rank, (seen, replaced, kinds, _) in enumerate(ranks):
            runner.logger.warning(
                f"bad data so far, rank {rank}: {replaced} of {seen} samples replaced "
                f"({_listed(kinds)})"
            )

    def _too_many(self) -> str:
        files = "; ".join(sorted(self.reported)[:_MAX_LISTED])
        return (
            f"bad data: {self.replaced} of the {self.seen} samples that rank {get_rank()} has seen "
            f"were replaced ({_listed(self.kinds)}), more than max_share={self.max_share} and "
            f"min_count={self.min_count} allow. Files: {files}. Repair them or take them out "
            "(the log has the reason of each), or raise max_share of mmvan.BadDataHook."
        )

    def _evaluated(self, runner: Runner, batch: Any, last: bool) -> None:
        for sample in samples_of(batch):
            self._in_evaluation += marks(sample)
        if not last:
            return
        everywhere = all_gather_object(self._in_evaluation)
        faults = sorted(
            {str(fault): fault for part in everywhere for fault in part}.values(), key=str
        )
        allowed = [f for f in faults if self.evaluation == "blank" and f.kind in IMAGE_KINDS]
        if allowed:
            runner.logger.warning(f"evaluated as grey images: {_named(allowed)}")
        if len(faults) > len(allowed):
            bad = [fault for fault in faults if fault not in allowed]
            raise DataError(
                f"bad data in evaluation, {len(bad)} samples, no metric was computed: "
                f"{_named(bad)}. Repair or remove them, or count images that cannot be read as "
                "grey ones: evaluation='blank' of mmvan.BadDataHook."
            )


def _listed(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))


def _named(faults: Sequence[Fault]) -> str:
    more = f" and {len(faults) - _MAX_LISTED} more" if len(faults) > _MAX_LISTED else ""
    return "; ".join(map(str, faults[:_MAX_LISTED])) + more
