"""A whole detector in one ONNX file: boxes, scores, labels and masks, by MMDeploy's rewriting.

The graph has ONNX's own operators alone (RoiAlign and NonMaxSuppression among them), so that the
file needs no library of MMDeploy's where it runs.
"""

import copy
import types
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmvan.deploy.agreement import Agreement, agreement_of, summarise
from mmvan.deploy.contract import INPUT_NAME, KEY, Contract
from mmvan.deploy.detections import PyTorchDetector, detections_of
from mmvan.deploy.fold import fold
from mmvan.deploy.formats import check_format, convert_to_openvino, staging
from mmvan.deploy.graphs import ExportGraph, normalisation_of, replace_layer_norms
from mmvan.deploy.images import ImageReader, compared_images, stack
from mmvan.deploy.mmdeploy_compat import mmdeploy_on_current_torch
from mmvan.deploy.packages import need
from mmvan.deploy.request import DifferenceError, Request, contract_of
from mmvan.deploy.runtimes import open_runtime
from mmvan.deploy.selection import select_dense, select_proposals, select_regions
from mmvan.errors import DeployError

FORMATS = ("onnx", "openvino")
# The first opset in which LayerNorm is one operator; from 16 on RoiAlign is mmcv's aligned one.
_OPSET = 17
# No detector of mmdet's is post-processed by MMDeploy here, but its heads read these settings.
_DEPLOY_CONFIG = {
    "codebase_config": {"type": "mmdet", "task": "ObjectDetection", "post_processing": {}},
}
_TRACED = (2, 3, 320, 352)  # Sizes of 1 would be taken for constants.


class DetectorGraph(ExportGraph):
    """A detector from uint8 RGB images to detections.

    Args:
        model: mmdet's detector, in evaluation mode; its heads are changed for tracing.
        cfg: Its config.
    """

    def __init__(self, model: Any, cfg: Config) -> None:
        super().__init__(model, lambda _, x: (x,), normalisation_of(cfg))
        self.two_stage = hasattr(model, "roi_head")
        if self.two_stage:
            heads = model.roi_head.bbox_head
            _take(model.rpn_head, select_proposals)
            _take(heads[-1] if isinstance(heads, nn.ModuleList) else heads, select_regions)
        else:
            _take(model.bbox_head, select_dense)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map uint8 RGB images (N, 3, H, W) to boxes with scores, labels and, if any, masks."""
        from mmdet.structures import DetDataSample

        sample = DetDataSample()
        # As a tensor, so that the size stays a variable; set_metainfo would copy it.
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
        model: The detector, in evaluation mode.
        cfg: Its config.
        meta: Classes and colours of its dataset.

    Raises:
        DeployError: It cannot be done; the message says why.
    """

    def __init__(self, request: Request, model: Any, cfg: Config, meta: dict[str, Any]) -> None:
        check_format(request.format, request.precision, request.out)
        _check(request, model, cfg)
        need("mmdeploy.apis", "--part whole of a detector", "deploy-detection")
        self.request = request
        self.model, self.cfg = model, cfg
        self.contract = contract_of(request, cfg, meta, "whole", output_names(model))

    def write(self) -> list[str]:
        """Write the file, after it was loaded again and agreed with PyTorch.

        Returns:
            list[str]: Lines that say what was found.

        Raises:
            DifferenceError: It differs too much; then nothing is left.
        """
        with staging(self.request.out) as staged:
            source = staged.with_suffix(".onnx")
            self._write_onnx(source)
            if self.request.format == "openvino":
                convert_to_openvino(source, self.contract, staged)
                source.unlink()
            return [self.verify(staged)]

    def verify(self, file: Path) -> str:
        """Load a file and compare its detections with those of PyTorch, image by image.

        Returns:
            str: How far they differ, and how long both took.

        Raises:
            DifferenceError: More than rounding explains.
            DeployError: There is no detection on any image, so that nothing was compared.
        """
        runtime = open_runtime(file, self.request.threads)
        found = summarise(self._agreements(runtime))
        if not found.detections:
            raise DeployError(
                "the model finds nothing on the images, so that nothing can be compared: give "
                "--images with a folder of images like those it was trained on"
            )
        if not found.within():
            raise DifferenceError(self.request.out, str(found), found.tolerance())
        return f"{self.request.out}: {found} ({found.tolerance()})"

    def _agreements(self, runtime: Any) -> Iterator[Agreement]:
        detector = PyTorchDetector(self.model, self.cfg, self.contract)
        reader = ImageReader(self.contract)
        with compared_images(self.request.images, self.request.compared) as paths:
            for path in paths:
                image = reader.read(path)
                expected, seconds = detector.predict(path)
                outputs, ours = runtime.timed(stack([image], self.contract.batch))
                found = detections_of([o[0] for o in outputs], image)
                yield replace(agreement_of(expected, found), seconds=(seconds, ours))

    def _write_onnx(self, file: Path) -> None:
        # Imported for what they register: the functions that MMDeploy rewrites.
        for package in ("mmdeploy.pytorch", "mmdeploy.mmcv", "mmdeploy.codebase.mmdet.models"):
            need(package, "--part whole of a detector", "deploy-detection")
        onnx: Any = need("onnx", "--format onnx or openvino")
        from mmdeploy.apis.onnx import export

        model = fold(self.model) if self.request.folded else copy.deepcopy(self.model)
        replace_layer_norms(model)
        contract = self.contract
        shape = (contract.batch or 1, 3, contract.height, contract.width)
        example = torch.randint(0, 256, _TRACED if contract.dynamic else shape, dtype=torch.uint8)
        with mmdeploy_on_current_torch(), quiet_export():
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
