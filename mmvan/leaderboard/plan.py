"""Which evaluations reproduce the published results of the named models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmvan.errors import ConfigError, DataError, did_you_mean
from mmvan.zoo.catalogue import NamedModel, split_metric

TASKS = {"cls": "classification", "det": "detection", "seg": "segmentation"}
# The metafiles' name of a metric: the evaluator's, and how many of its units make one per cent.
METRICS = {
    "Top 1 Accuracy": ("accuracy/top1", 1),
    "Top 5 Accuracy": ("accuracy/top5", 1),
    "box AP": ("coco/bbox_mAP", 100),
    "mask AP": ("coco/segm_mAP", 100),
    "mIoU": ("mIoU", 1),
    "PQ": ("coco_panoptic/PQ", 1),
    "PQ things": ("coco_panoptic/PQ_th", 1),
    "PQ stuff": ("coco_panoptic/PQ_st", 1),
}
_MULTI_SCALE = "ms+flip"


@dataclass(frozen=True)
class Target:
    """One published score.

    Args:
        metric: Its name in the metafiles, one of ``METRICS``.
        published: The score, in %.
        source: Who measured it: the paper, or the project that converted the weights.
    """

    metric: str
    published: float
    source: str


@dataclass(frozen=True)
class Evaluation:
    """One run over a dataset: a model in one test setting.

    Args:
        model: The model.
        multi_scale: Whether the image is shown at several scales and flipped, or once.
        targets: The scores to compare with.
    """

    model: NamedModel
    multi_scale: bool
    targets: tuple[Target, ...]

    @property
    def name(self) -> str:
        """Name of the model, with the setting where it is not the single scale."""
        return f"{self.model.name}_ms" if self.multi_scale else self.model.name


def plan_evaluations(
    models: Iterable[NamedModel], task: str = "all", names: Sequence[str] = ()
) -> list[Evaluation]:
    """List the evaluations of all published scores, each setting for itself.

    Args:
        models: The models; those without a published score are passed over.
        task: One of ``TASKS``, or ``all``.
        names: Only the models of these names.

    Raises:
        ConfigError: A name is unknown or has no published score, or nothing is left.
        DataError: A metric of a metafile is unknown.
    """
    known = {model.name: model for model in models}
    for name in names:
        if name not in known:
            raise ConfigError(f"--models {name}: no such model.{did_you_mean(name, known)}")
        if not known[name].metrics:
            raise ConfigError(f"--models {name}: no score was published for this model")
    chosen = [known[name] for name in names] if names else list(known.values())
    chosen = [model for model in chosen if task == "all" or model.task == TASKS[task]]
    planned = [evaluation for model in chosen for evaluation in _settings(model)]
    if not planned:
        raise ConfigError(f"--task {task} --models {' '.join(names)}: no model is left")
    return planned


def _settings(model: NamedModel) -> list[Evaluation]:
    targets: dict[bool, list[Target]] = {False: [], True: []}
    for metric, value in model.metrics.items():
        name, label = split_metric(metric)
        if name not in METRICS:
            raise DataError(
                f"{model.name}: unknown metric {metric!r}; known are {', '.join(METRICS)}, alone "
                f"or followed by ({_MULTI_SCALE}) or by who measured it in brackets"
            )
        multi_scale = label == _MULTI_SCALE
        source = "paper" if multi_scale or not label else label
        targets[multi_scale].append(Target(name, value, source))
    return [
        Evaluation(model, multi_scale, tuple(found))
        for multi_scale, found in targets.items()
        if found
    ]
