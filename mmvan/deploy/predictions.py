"""What a library predicts for an image, and what a file does, from the pixels to the labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmvan.deploy.contract import Contract
from mmvan.deploy.graphs import ExportGraph
from mmvan.deploy.images import LoadedImage, stack
from mmvan.deploy.runtimes import Array, Runtime
from mmvan.deploy.verify import LEAST_AGREEMENT, run_reference

# How far two sums of the same numbers in float32 may put a score, which is between 0 and 1.
_SCORE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Prediction:
    """The final result of one image.

    Args:
        labels: A classifier's labels, shape (L,); a segmentor's label map, (H, W).
        scores: A classifier's, shape (C,); None of a segmentor.
    """

    labels: Tensor
    scores: Tensor | None


@dataclass
class Tally:
    """How far predictions are those of the library.

    Args:
        decisions: Labelled things: a classifier's image, with its one or several labels, or a
            segmentor's pixel.
        agreeing: How many of them have the same labels.
        score_difference: The largest difference of two scores; 0 of a segmentor.
    """

    decisions: int = 0
    agreeing: int = 0
    score_difference: float = 0.0

    def add(self, expected: Prediction, found: Prediction) -> None:
        """Count one image."""
        if expected.scores is None or found.scores is None:
            same = expected.labels == found.labels
            self.decisions += same.numel()
            self.agreeing += int(same.sum())
            return
        self.decisions += 1
        self.agreeing += set(expected.labels.tolist()) == set(found.labels.tolist())
        difference = float((expected.scores - found.scores).abs().max())
        self.score_difference = max(self.score_difference, difference)

    def fault(self) -> str | None:
        """Why predictions from the same logits are not the library's; None if they are."""
        alike = self.agreeing >= LEAST_AGREEMENT * self.decisions
        if alike and self.score_difference <= _SCORE_TOLERANCE:
            return None
        return (
            "its post-processing is not that of the model's head: from the same logits, labels "
            f"agree with predict in {self.agreeing} of {self.decisions}, and scores differ by up "
            f"to {self.score_difference:.3g}"
        )


def predict_by_library(model: Any, image: LoadedImage, contract: Contract) -> Prediction:
    """The library's own prediction: its data preprocessor, its ``predict``, its head.

    Args:
        model: mmpretrain's classifier or mmseg's segmentor, in evaluation mode on the CPU.
        image: As the graph takes it.
        contract: Of the file, for the task.
    """
    # The libraries' loaders give blue first.
    inputs = [torch.from_numpy(image.image[::-1].copy())]
    sample = _sample_of(image, contract.task)
    with torch.inference_mode():
        result = model.test_step({"inputs": inputs, "data_samples": [sample]})[0]
    if contract.task == "classification":
        return Prediction(result.pred_label, result.pred_score)
    return Prediction(result.pred_sem_seg.data[0].long(), None)


def predict_by_contract(logits: Array, image: LoadedImage, contract: Contract) -> Prediction:
    """What a file's own post-processing makes of the logits of one image, (C,) or (C, H, W)."""
    decision = contract.decision
    assert decision is not None  # Of a whole model.
    values = torch.from_numpy(logits)
    if contract.task == "classification":
        scores = decision.class_scores(values)
        return Prediction(decision.class_labels(scores), scores)
    return Prediction(decision.label_map(values, image.size), None)


def compare_predictions(
    runtime: Runtime, reference: ExportGraph, images: Iterable[LoadedImage]
) -> tuple[Tally, Tally]:
    """Compare final results with the library's.

    Args:
        runtime: A file that holds a whole model.
        reference: The graph of the model in float32.
        images: As the file takes them.

    Returns:
        tuple[Tally, Tally]: What the file predicts; and what its post-processing alone makes of
        PyTorch's own logits.
    """
    contract = runtime.contract
    of_file, of_decision = Tally(), Tally()
    for image in images:
        expected = predict_by_library(reference.model, image, contract)
        array = stack([image], contract.batch)
        of_file.add(expected, predict_by_contract(runtime.run(array)[0][0], image, contract))
        logits = run_reference(reference, array[:1])[0][0]
        of_decision.add(expected, predict_by_contract(logits, image, contract))
    return of_file, of_decision


def _sample_of(image: LoadedImage, task: str) -> Any:
    shape = image.image.shape[1:]
    sizes = {"ori_shape": image.size, "img_shape": shape, "pad_shape": shape}
    if task == "classification":
        from mmpretrain.structures import DataSample

        return DataSample(metainfo=sizes)
    from mmseg.structures import SegDataSample

    return SegDataSample(metainfo=sizes)
