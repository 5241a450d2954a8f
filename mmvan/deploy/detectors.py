"""A whole detector in one ONNX file: boxes, scores, labels and masks, by MMDeploy's rewriting.

The graph has ONNX's own operators alone (RoiAlign and NonMaxSuppression among them), so that the
file needs no library of MMDeploy's where it runs.
"""

import copy
import logging
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from torch import Tensor, nn

from mmvan.deploy.contract import INPUT_NAME, KEY, Contract
from mmvan.deploy.detections import (
    MASK_THRESHOLD,
    OUTPUTS,
    TOLERANCE,
    Agreement,
    agreement_of,
    detections_of,
    summarise,
)
from mmvan.deploy.export import (
    Export,
    Request,
    check_request,
    contract_of,
    difference,
    spread,
)
from mmvan.deploy.fold import fold
from mmvan.deploy.formats import staging
from mmvan.deploy.graphs import ExportGraph, normalisation_of, replace_layer_norms
from mmvan.deploy.images import ImageReader, LoadedImage, draw_images, find_images, stack
from mmvan.deploy.loading import NEEDS, load_model
from mmvan.deploy.mmdeploy_compat import mmdeploy_on_current_torch
from mmvan.deploy.packages import need, need_mmdeploy
from mmvan.deploy.runtimes import Runtime, open_runtime
from mmvan.deploy.selection import (
    choose_class_of_stage,
    select_dense,
    select_proposals,
    select_regions,
)
from mmvan.engine.config import load_config, task_of
from mmvan.errors import DeployError

# From 16 on RoiAlign is mmcv's aligned one; 17 is the newest that was tested here.
_OPSET = 17
_DEPLOY_CONFIG = {
    "codebase_config": {"type": "mmdet", "task": "ObjectDetection", "post_processing": {}},
}
# Imported for what they register: the functions that MMDeploy rewrites.
_REWRITERS = (
    "mmdeploy.pytorch",
    "mmdeploy.mmcv",
    "mmdeploy.codebase.mmdet.models",
    "mmdeploy.codebase.mmdet.structures",
)
_TRACED = (2, 3, 320, 352)  # Sizes of 1 would be taken for constants.
_COMPARED = 100  # At most so many of --images: objects, unlike logits, are few per image.
_DRAWN = 8
_META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")


def open_export(request: Request) -> "Export | DetectorExport":
    """The export that a request needs: one of a whole detector, or of anything else."""
    cfg = load_config(request.config, request.overrides, NEEDS)
    whole = task_of(cfg) == "detection" and request.part == "whole"
    return DetectorExport(request) if whole else Export(request)


class DetectorGraph(ExportGraph):
    """A detector from uint8 RGB images to detections, for tracing in MMDeploy's context.

    Args:
        model: mmdet's detector, in evaluation mode; its heads are changed.
        cfg: Its config.
    """

    def __init__(self, model: Any, cfg: Config) -> None:
        super().__init__(model, _no_part, normalisation_of(cfg))
        self.two_stage: bool = hasattr(model, "roi_head")
        if not self.two_stage:
            _take(model.bbox_head, "predict_by_feat", select_dense)
            return
        _take(model.rpn_head, "predict_by_feat", select_proposals)
        heads = model.roi_head.bbox_head
        stages: list[Any] = [*heads] if isinstance(heads, nn.ModuleList) else [heads]
        if len(stages) > 1:
            _take(model.roi_head, "_bbox_forward", choose_class_of_stage)
        for head in stages[:-1]:
            head.reg_class_agnostic = True  # What the function above makes of it.
        _take(stages[-1], "predict_by_feat", select_regions)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 RGB images (N, 3, H, W) to boxes with scores, labels and, if any, masks."""
        from mmdet.structures import DetDataSample

        sample = DetDataSample()
        # A tensor, so that the size stays a variable; set_metainfo would copy it.
        size = torch._shape_as_tensor(images)[2:]
        sample.set_field(size, "img_shape", field_type="metainfo")
        model: Any = self.model
        features = model.extract_feat(self.normalise(images))
        if not self.two_stage:
            return model.bbox_head.predict(features, [sample], rescale=False)
        proposals = model.rpn_head.predict(features, [sample], rescale=False)
        return model.roi_head.predict(features, proposals, [sample], rescale=False)


class DetectorExport:
    """The export of a whole detector.

    Args:
        request: What is asked for.

    Raises:
        UserError: It cannot be done; the message says why.
    """

    def __init__(self, request: Request) -> None:
        check_request(request)
        if (request.format, request.precision) != ("onnx", "fp32"):
            raise DeployError(
                "--part whole of a detector: it is written by --format onnx in --precision fp32, "
                f"got {request.format} in {request.precision}; --part features has the others"
            )
        need_mmdeploy()
        model, self.cfg, meta = load_model(request.config, request.checkpoint, request.overrides)
        self.model: Any = model
        _check_heads(self.model, request.config)
        self.request = request
        contract = contract_of(request, self.cfg, meta, "whole", _outputs_of(self.model))
        self.contract = contract if request.dynamic else _letterboxed(contract, self.cfg)

    def write(self) -> list[str]:
        """Write the file, after it was loaded again and agreed with PyTorch.

        Returns:
            list[str]: A line that says what was found.

        Raises:
            DifferenceError: It differs too much; then nothing is left.
        """
        with staging(self.request.out) as staged:
            self.write_unverified(staged)
            return [self.verify(staged)]

    def verify(self, file: Path) -> str:
        """Load a file and compare its detections with those of PyTorch, image by image.

        Returns:
            str: How far they differ, and how long both took.

        Raises:
            DifferenceError: More than rounding explains.
            DeployError: There is no detection on any image, so that nothing was compared.
        """
        found = summarise(self.compare(file))
        if not found.detections:
            raise DeployError(
                f"{self.request.checkpoint} finds nothing on the images, so that nothing can be "
                "compared: give --images with a folder of images like those it was trained on"
            )
        if not found.within():
            raise difference(self.request.out, found, TOLERANCE)
        return f"{self.request.out}: {found} (tolerance: {TOLERANCE})"

    def compare(self, file: Path) -> Iterator[Agreement]:
        """Compare a file with PyTorch on each image; the two take turns.

        Args:
            file: The ``.onnx``.

        Yields:
            Agreement: Of one image, with the time from its file to its detections.
        """
        runtime = open_runtime(file, self.request.threads, self.request.provider)
        predict = _predictor(self.model, self.cfg, self.contract)
        reader = ImageReader(self.contract)
        with tempfile.TemporaryDirectory() as folder:
            given = self.request.images
            paths = (
                spread(find_images(given, "--images"), _COMPARED)
                if given
                else draw_images(Path(folder), _DRAWN)
            )
            for path in paths:
                reader.read(path)  # Whoever reads a file first waits for the disk.
                start = time.perf_counter()
                expected = predict(path)
                middle = time.perf_counter()
                found = _detect(runtime, reader.read(path))
                end = time.perf_counter()
                agreement = agreement_of(expected, found)
                yield replace(agreement, seconds=(middle - start, end - middle))

    def write_unverified(self, file: Path) -> None:
        """Write the file, which nobody has compared with PyTorch yet.

        Args:
            file: The ``.onnx``.
        """
        onnx: Any = need("onnx", "--format onnx")
        for package in _REWRITERS:
            need_mmdeploy(package)
        from mmdeploy.apis.onnx import export

        model = fold(self.model) if self.request.folded else copy.deepcopy(self.model)
        replace_layer_norms(model)
        contract = self.contract
        fixed = (contract.batch or 1, 3, contract.height, contract.width)
        example = torch.randint(0, 256, _TRACED if contract.dynamic else fixed, dtype=torch.uint8)
        with mmdeploy_on_current_torch(), _quiet():
            export(
                DetectorGraph(model, self.cfg).eval(),
                (example,),
                str(file.with_suffix("")),
                backend="onnxruntime",
                context_info={"deploy_cfg": copy.deepcopy(_DEPLOY_CONFIG)},
                input_names=[INPUT_NAME],
                output_names=list(contract.outputs),
                opset_version=_OPSET,
                dynamic_axes=_dynamic_axes(contract),
            )
        proto = onnx.load(file)
        onnx.helper.set_model_props(proto, {KEY: contract.to_text()})
        onnx.save(proto, file)


def _take(module: Any, name: str, function: Callable[..., Any]) -> None:
    setattr(module, name, types.MethodType(function, module))


def _no_part(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    raise AssertionError("DetectorGraph.forward calls the heads itself")


def _check_heads(model: Any, config: str) -> None:
    """Check before the long work that the heads are of the kinds that are written.

    Raises:
        DeployError: They are not.
    """
    from mmdet.models.dense_heads import ATSSHead, GFLHead, RetinaHead
    from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
    from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead

    head = model.roi_head if isinstance(model, TwoStageDetector) else getattr(model, "bbox_head", 0)
    known = (StandardRoIHead, CascadeRoIHead, RetinaHead, ATSSHead, GFLHead)
    if not isinstance(model, (TwoStageDetector, SingleStageDetector)) or type(head) not in known:
        raise DeployError(
            f"{config}: --part whole writes detectors with {', '.join(k.__name__ for k in known)}; "
            f"this one is {type(model).__name__} with {type(head).__name__}. Export --part features"
        )
    if getattr(head, "mask_head", None) is not None:
        threshold = model.test_cfg.rcnn.mask_thr_binary
        if threshold != MASK_THRESHOLD:
            raise DeployError(
                f"{config}: model.test_cfg.rcnn.mask_thr_binary is {threshold}; masks of an "
                f"exported file are cut at {MASK_THRESHOLD}"
            )


def _outputs_of(model: Any) -> tuple[str, ...]:
    masks = getattr(getattr(model, "roi_head", None), "mask_head", None) is not None
    return OUTPUTS if masks else OUTPUTS[:2]


def _letterboxed(contract: Contract, cfg: Config) -> Contract:
    """The contract of a fixed size: images keep their ratio and are padded at right and bottom."""
    size = (contract.width, contract.height)
    padding = tuple(round(value) for value in contract.mean)[::-1]  # Transforms have blue first.
    steps = (
        contract.pipeline[0],
        {"type": "Resize", "scale": size, "keep_ratio": True},
        {"type": "Pad", "size": size, "pad_val": {"img": padding}},
    )
    return replace(contract, pipeline=steps)


def _dynamic_axes(contract: Contract) -> dict[str, dict[int, str]]:
    axes = {name: {1: "detections"} for name in contract.outputs}
    if contract.dynamic:
        axes = {name: {0: "batch", **names} for name, names in axes.items()}
        axes[INPUT_NAME] = {0: "batch", 2: "height", 3: "width"}
    return axes


def _predictor(model: Any, cfg: Config, contract: Contract) -> Callable[[Path], Any]:
    """The prediction of mmdet itself for an image file, with the transforms of a contract."""
    from mmdet.apis import inference_detector

    steps = [*contract.pipeline, {"type": "PackDetInputs", "meta_keys": _META_KEYS}]
    with (
        DefaultScope.overwrite_default_scope(contract.scope),
        TRANSFORMS.switch_scope_and_registry(contract.scope) as registry,
    ):
        pipeline = Compose([registry.build(dict(step)) for step in steps])
    model.cfg = cfg

    def predict(path: Path) -> Any:
        return inference_detector(model, str(path), test_pipeline=pipeline).pred_instances

    return predict


def _detect(runtime: Runtime, image: LoadedImage) -> Any:
    """The detections of a file in one image, as mmdet gives them."""
    outputs = runtime.run(stack([image], runtime.contract.batch))
    return detections_of([output[0] for output in outputs], image)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's notes on Python values, which the comparison with PyTorch covers, away."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
