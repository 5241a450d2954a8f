"""From a config and a checkpoint to a verified file."""

import copy
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmvan.deploy.contract import Contract
from mmvan.deploy.decision import decision_of
from mmvan.deploy.fold import fold
from mmvan.deploy.formats import FORMATS, check_format, convert_to_openvino, staging
from mmvan.deploy.graphs import (
    build_graph,
    default_part,
    normalisation_of,
    replace_upsamples,
    require_any_size,
)
from mmvan.deploy.images import (
    ImageReader,
    batches,
    draw_images,
    find_images,
    fixed_pipeline,
    image_pipeline,
    natural_shape,
    stack,
)
from mmvan.deploy.loading import load_model
from mmvan.deploy.measure import evaluate, medians
from mmvan.deploy.predictions import compare_predictions
from mmvan.deploy.providers import CPU, check_provider, read_provider
from mmvan.deploy.quantize import quantize
from mmvan.deploy.runtimes import Array, Runtime, open_runtime
from mmvan.deploy.verify import (
    TOLERANCES,
    Comparison,
    compare_with_reference,
    other_size,
    pairs_of,
    summarise,
)
from mmvan.engine.config import task_of
from mmvan.errors import DataError, DeployError
from mmvan.version import __version__

# Enough to see a defect; more images do not make a wrong graph more wrong.
_COMPARED = 8
# What a dynamic graph is traced with: a tracer takes sizes of 1 for constants, and the smallest
# map, at stride 64, must not have one.
_TRACED = (2, 3, 192, 256)
_WITH_VNNI_ALONE = " (right on processors with VNNI alone)"


@dataclass(frozen=True)
class Request:
    """What is asked for; the fields are the options of ``tools/export.py``."""

    config: str
    checkpoint: str
    format: str
    out: Path
    overrides: Mapping[str, Any] | None = None
    part: str | None = None
    precision: str = "fp32"
    folded: bool = False
    dynamic: bool = False
    shape: tuple[int, int] | None = None
    batch: int = 1
    images: Path | None = None
    calibrate: Path | None = None
    evaluate: int = 500
    weight_bits: int = 7
    threads: int | None = None
    provider: str = CPU


class Export:
    """One export: the model, the graph as it was trained, and what the file will say.

    Args:
        request: What is asked for.

    Raises:
        UserError: It cannot be done; the message says why.
    """

    def __init__(self, request: Request) -> None:
        check_request(request)
        if request.precision == "int8" and request.calibrate is None:
            raise DeployError(
                "--precision int8 needs --calibrate DIR, a folder with some hundred images like "
                "those that the model will see, such as a part of the training set"
            )
        self.request = request
        self.model, self.cfg, self.meta = load_model(
            request.config, request.checkpoint, request.overrides, request.part
        )
        part = request.part or default_part(self.cfg)
        if request.dynamic and part == "whole":
            require_any_size(self.model, request.format)
        self.reference, outputs = build_graph(self.model, self.cfg, part)
        contract = contract_of(request, self.cfg, self.meta, part, outputs)
        decision = decision_of(self.model, contract.task) if part == "whole" else None
        self.contract = replace(contract, decision=decision)

    def write(self) -> list[str]:
        """Write the file, after it was loaded again and agreed with PyTorch.

        Returns:
            list[str]: Lines that say what was found.

        Raises:
            DeployError: It cannot be written, or differs too much; then nothing is left.
        """
        with staging(self.request.out) as staged:
            if self.request.precision == "int8":
                said = self._write_int8(staged)
            else:
                self._write_float(self.request.format, self.contract, staged)
                said = []
            said.insert(0, self.verify(staged))
        return said

    def verify(self, file: Path) -> str:
        """Load a file and compare it with PyTorch.

        Returns:
            str: How far it differs.

        Raises:
            DifferenceError: More than the tolerance of its precision, or its post-processing is not
            the library's.
        """
        runtime = open_runtime(file, self.request.threads, self.request.provider)
        precision = runtime.contract.precision
        found = summarise(
            compare_with_reference(runtime, self.reference, images) for images in self._inputs()
        )
        if self.contract.part == "whole":
            found = self._with_predictions(found, runtime)
        if not found.within(precision):
            raise difference(self.request.out, found, f"{TOLERANCES[precision]:g}")
        return f"{self.request.out}: {found} (tolerance {TOLERANCES[precision]:g})"

    def _with_predictions(self, found: Comparison, runtime: Runtime) -> Comparison:
        shapes = [self.contract]
        if self.contract.dynamic:
            shapes.append(other_size(self.contract))
        images = itertools.chain.from_iterable(map(self._images, shapes))
        of_file, of_decision = compare_predictions(runtime, self.reference, images)
        fault = of_decision.fault()
        if fault:
            raise DifferenceError(f"{self.request.out}: {fault}")
        return replace(found, decisions=of_file.decisions, agreeing=of_file.agreeing)

    def _inputs(self) -> Iterator[list[Array]]:
        """Images in the shapes that the file promises to take."""
        yield [stack([p], self.contract.batch) for p in self._images(self.contract)]
        if self.contract.dynamic:
            yield pairs_of(list(self._images(other_size(self.contract))))

    def _images(self, contract: Contract) -> Iterator[Any]:
        reader = ImageReader(contract)
        with tempfile.TemporaryDirectory() as folder:
            images = self.request.images
            paths = (
                spread(find_images(images, "--images"), _COMPARED)
                if images
                else draw_images(Path(folder), _COMPARED)
            )
            yield from map(reader.read, paths)

    def _write_float(self, name: str, contract: Contract, file: Path) -> None:
        model = fold(self.model) if self.request.folded else copy.deepcopy(self.model)
        replace_upsamples(model)
        graph, _ = build_graph(model, self.cfg, contract.part)
        fixed = (contract.batch or 1, 3, contract.height, contract.width)
        example = torch.zeros(_TRACED if contract.dynamic else fixed, dtype=torch.uint8)
        FORMATS[name].write(graph.eval(), example, contract, file)

    def _write_int8(self, staged: Path) -> list[str]:
        native = self.request.format == "onnx"
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder, "float.onnx")
            quantized = staged if native else Path(folder, "int8.onnx")
            as_float = replace(self.contract, precision="fp32")
            self._write_float("onnx", as_float, plain)
            calibration = self._calibration()
            quantize(plain, calibration, self.contract, quantized, for_onnxruntime=native)
            if native:
                return self._compare_with_float(staged, plain)
            convert_to_openvino(quantized, self.contract, staged)
            rival = plain.with_suffix(".xml")
            convert_to_openvino(plain, as_float, rival)
            return self._compare_with_float(staged, rival)

    def _calibration(self) -> Iterator[Array]:
        assert self.request.calibrate is not None  # Checked at the start.
        reader = ImageReader(self.contract)
        paths = find_images(self.request.calibrate, "--calibrate")
        for group in batches(map(reader.read, paths), self.contract.batch or 1):
            yield stack(group, self.contract.batch)

    def _compare_with_float(self, file: Path, rival: Path) -> list[str]:
        """Time and accuracy of int8 beside those of float32, in the same runtime."""
        how = (self.request.threads, self.request.provider)
        files = {"fp32": open_runtime(rival, *how), "int8": open_runtime(file, *how)}
        first = next(iter(self._inputs()))[0]
        times = medians(files, first)
        said = [
            f"int8: weights of {self.contract.weight_bits} bits per channel, activations of 8 per "
            f"tensor{_WITH_VNNI_ALONE if self.contract.weight_bits == 8 else ''}",
            f"ms per call of {len(first)}: fp32 {times['fp32']:.1f}, int8 {times['int8']:.1f}, "
            f"{times['fp32'] / times['int8']:.2f} times as fast",
        ]
        return [*said, self._accuracies(files)]

    def _accuracies(self, files: Mapping[str, Runtime]) -> str:
        if self.contract.part != "whole":
            return f"accuracy: not measured, {self.contract.part} has none"
        try:
            results = evaluate(files, self.cfg, self.request.evaluate)
        except DataError as error:
            return f"accuracy: not measured, {error}"
        return "\n".join(
            f"{metric}: fp32 {value:.2f}, int8 {results['int8'][metric]:.2f}"
            for metric, value in results["fp32"].items()
        )


def check_request(request: Request) -> None:
    """Check what can be checked before the long work.

    Raises:
        DeployError: The format lacks the precision, the file has another ending, or the provider
            is not here.
    """
    check_format(request.format, request.precision, request.out)
    check_provider(read_provider(request.provider), request.out.suffix)


class DifferenceError(Exception):
    """A file that computes something else than PyTorch: the command's status is 1."""


def difference(file: Path, found: object, tolerance: str) -> DifferenceError:
    """The error of a file that differs from PyTorch by more than it may."""
    return DifferenceError(f"{file}: {found}; beyond the tolerance of {tolerance}")


def contract_of(
    request: Request, cfg: Config, meta: Mapping[str, Any], part: str, outputs: tuple[str, ...]
) -> Contract:
    """What a file will say about itself.

    Args:
        request: What is asked for.
        cfg: The config.
        meta: Classes and palette of the dataset.
        part: What of the model is in the file.
        outputs: Names of the outputs.

    Raises:
        DeployError: No transform of the config tells the size of the images.
    """
    normalisation = normalisation_of(cfg)
    pipeline = image_pipeline(cfg)
    shape = request.shape or natural_shape(cfg, pipeline)
    return Contract(
        task=task_of(cfg),
        part=part,
        outputs=outputs,
        batch=None if request.dynamic else request.batch,
        height=shape[0],
        width=shape[1],
        dynamic=request.dynamic,
        precision=request.precision,
        folded=request.folded,
        mean=normalisation.mean,
        std=normalisation.std,
        classes=tuple(meta.get("classes") or ()),
        palette=tuple(tuple(colour) for colour in meta.get("palette") or ()),
        scope=cfg.default_scope,
        pipeline=pipeline if request.dynamic else fixed_pipeline(pipeline, shape),
        config=request.config,
        checkpoint=request.checkpoint,
        version=__version__,
        weight_bits=request.weight_bits if request.precision == "int8" else None,
    )


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Choose at most ``count`` of the paths, spread evenly over all."""
    count = min(count, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]
