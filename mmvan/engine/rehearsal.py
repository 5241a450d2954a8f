"""The hook that tries an evaluation before the training, which would fail in it hours later."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmvan.errors import ConfigError
from mmvan.registry import HOOKS


@HOOKS.register_module()
class RehearsalHook(Hook):
    """Predicts one validation image, and hands it to the metrics, before the first step.

    What is wrong with the settings of predictions, the validation pipeline or a metric's input ends
    the run at once and not after the first epoch. Nothing of it remains: not in the metrics, and no
    random number is drawn.

    An image that cannot be read is left to the evaluation, which lists all of them.

    Raises:
        ConfigError: The pipeline lacks something. What fails in the model or a metric is raised as
            it is.
    """

    def before_train(self, runner: Runner) -> None:
        """Try the evaluation of a run that begins."""
        if runner.val_loop is None or runner.iter:
            return
        loader = runner.val_loop.dataloader
        try:
            batch = loader.collate_fn([loader.dataset[0]])
        except OSError:
            return
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigError(
                "val_dataloader.dataset: its pipeline does not work for the first sample: "
                f"{type(error).__name__}: {error}"
            ) from error
        evaluator = runner.val_loop.evaluator
        runner.model.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                outputs = runner.model.val_step(batch)
                evaluator.process(data_samples=outputs, data_batch=batch)
        finally:
            runner.model.train()
            for metric in evaluator.metrics:
                metric.results.clear()
