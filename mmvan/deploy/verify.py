"""Comparing what a runtime computes with what PyTorch computes, on the same images."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mmvan.deploy.contract import Contract
from mmvan.deploy.graphs import ExportGraph
from mmvan.deploy.images import LoadedImage, fixed_pipeline
from mmvan.deploy.runtimes import Array, Runtime

# How far outputs may be from PyTorch's in float32: root mean square of the difference over that of
# the output. float32 differs by the order of its sums (1e-6 was seen, 100 times that is allowed);
# half precisions by their 11 and 8 bits of mantissa over some hundred layers; int8, with 8 bits of
# range per tensor, was seen at 0.03 to 0.07 with trained weights.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2, "int8": 0.15}
# A second size for dynamic graphs, with odd numbers: what was fixed when tracing shows.
_SIZE_CHANGE = (45, -19)
# Of the labels in float32; the others are of pixels between two classes.
LEAST_AGREEMENT = 0.999
_SMALLEST = float(np.finfo(np.float32).tiny)  # Against outputs that are zero throughout.


@dataclass(frozen=True)
class Comparison:
    """How far two sets of outputs are apart.

    Args:
        absolute: Largest difference of two values.
        relative: Root mean square of the difference over that of PyTorch's; the worst output.
        decisions: Of a whole model, how many images or pixels were labelled; 0 for maps.
        agreeing: How many of those got the labels of the library's ``predict``.
    """

    absolute: float
    relative: float
    decisions: int = 0
    agreeing: int = 0

    def within(self, precision: str) -> bool:
        """Whether the difference is in the tolerance of a precision; NaN never is."""
        alike = precision != "fp32" or self.agreeing >= LEAST_AGREEMENT * self.decisions
        return self.relative <= TOLERANCES[precision] and alike

    def __str__(self) -> str:
        parts = [f"max difference {self.absolute:.3g}", f"relative {self.relative:.2e}"]
        if self.decisions:
            share = self.agreeing / self.decisions
            parts.append(f"labels agree with predict in {share:.2%} of {self.decisions}")
        return ", ".join(parts)


def compare(expected: Sequence[Array], found: Sequence[Array]) -> Comparison:
    """Compare outputs.

    Args:
        expected: PyTorch's.
        found: The runtime's.

    Returns:
        Comparison: Over all outputs; infinite where a shape differs.
    """
    shapes = [[array.shape for array in arrays] for arrays in (expected, found)]
    if shapes[0] != shapes[1]:
        return Comparison(float("inf"), float("inf"))
    pairs = list(zip(expected, found, strict=True))
    return Comparison(
        max(float(np.abs(a - b).max()) for a, b in pairs),
        max(_rms(a - b) / max(_rms(a), _SMALLEST) for a, b in pairs),
    )


def summarise(comparisons: Iterable[Comparison]) -> Comparison:
    """The worst difference and all decisions of several comparisons."""
    seen = list(comparisons)
    return Comparison(
        # np.max, unlike max, keeps NaN.
        float(np.max([c.absolute for c in seen])),
        float(np.max([c.relative for c in seen])),
        sum(c.decisions for c in seen),
        sum(c.agreeing for c in seen),
    )


def run_reference(graph: ExportGraph, images: Array) -> list[Array]:
    """PyTorch's outputs."""
    with torch.inference_mode():
        return [output.numpy() for output in graph(torch.from_numpy(images))]


def compare_with_reference(
    runtime: Runtime, reference: ExportGraph, images: Iterable[Array]
) -> Comparison:
    """Run both on the same images.

    Args:
        runtime: The exported file.
        reference: The graph of the model as it was trained, in float32.
        images: Arrays of images, uint8, (N, 3, H, W).
    """
    return summarise(
        compare(run_reference(reference, array), runtime.run(array)) for array in images
    )


def other_size(contract: Contract) -> Contract:
    """The contract of a dynamic graph with a pipeline that makes images of another size."""
    shape = (contract.height + _SIZE_CHANGE[0], contract.width + _SIZE_CHANGE[1])
    return replace(contract, pipeline=fixed_pipeline(contract.pipeline, shape))


def pairs_of(loaded: Sequence[LoadedImage]) -> list[Array]:
    """Images of one shape in batches of two; a single one with itself."""
    images = [one.image for one in loaded]
    images = images if len(images) > 1 else images * 2
    return [np.stack(pair) for pair in itertools.pairwise(images)]


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
