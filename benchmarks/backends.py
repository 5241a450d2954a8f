"""What the operators bring to whole models: the same classifier with each backend in turn.

Training is a step with fused AdamW; inference is the forward pass of the same model in evaluation
mode. Baseline is PyTorch's own operators in the same layout.
"""

from collections.abc import Iterator, Mapping

import torch
from ops import ELSEWHERE
from settings import Settings
from table import Measurement, compare
from timing import Step, relative_difference, take_turns
from torch import Tensor
from training import Case, Form, Trainer, dtype_on

from mmvan.ops.backends import BACKENDS

SUITE = "backends"
BASELINE = "torch"
INFERENCE, TRAINING = "inference", "training step"
LAYOUTS = {"contiguous": False, "channels_last": True}
_REPEATS = 9


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """Every backend of a device in both layouts, each of which is a case."""
    names = [name for name in BACKENDS if name not in ELSEWHERE[settings.device]]
    names = settings.choose(names, BASELINE)
    for layout, of_layout in settings.share(list(LAYOUTS)):
        yield _measure(of_layout, layout, names)


def _measure(settings: Settings, layout: str, names: list[str]) -> list[Measurement]:
    case = Case.on(settings)
    images, labels = case.tensors(settings.device)
    trainers = {name: Trainer(_form(name, layout), case.arch, images, labels) for name in names}
    steps: Mapping[str, Mapping[str, Step]] = {
        INFERENCE: {name: _Inference(trainer) for name, trainer in trainers.items()},
        TRAINING: {name: trainer.step for name, trainer in trainers.items()},
    }
    dtype = dtype_on(settings.device)
    return [
        row
        for metric, forms in steps.items()
        for row in _rows(settings, case, metric, forms, (dtype, layout))
    ]


def _form(backend: str, layout: str) -> Form:
    return Form({"channels_last": LAYOUTS[layout]}, backend=backend, fused=True)


def _rows(
    settings: Settings,
    case: Case,
    metric: str,
    steps: Mapping[str, Step],
    kind: tuple[str, str],
) -> list[Measurement]:
    results = {name: step() for name, step in steps.items()}
    return compare(
        take_turns(steps, settings.repeat(_REPEATS), settings.device, settings.end),
        BASELINE,
        dict.fromkeys(steps, kind),
        {name: relative_difference(found, results[BASELINE]) for name, found in results.items()},
        **case.labels(SUITE),
        metric=metric,
        unit="ms",
    )


class _Inference:
    """The forward pass of a trainer's model, which is put back into training after it."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __call__(self) -> Tensor:
        self._trainer.model.eval()
        try:
            with torch.inference_mode():
                return self._trainer.logits()
        finally:
            self._trainer.model.train()
