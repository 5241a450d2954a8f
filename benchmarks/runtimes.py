"""One network on fixed images, in the runtimes that a user can choose from."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from timing import Step
from torch import Tensor, nn

from mmvan import __version__
from mmvan.deploy.contract import INPUT_NAME, Contract
from mmvan.deploy.formats import OPSET, write_onnx
from mmvan.deploy.graphs import ExportGraph, Normalisation
from mmvan.deploy.packages import openvino_core
from mmvan.deploy.quantize import quantize
from mmvan.ops import use_backend

# As VAN was trained for classification.
_MEAN = _STD = (127.5,) * 3


@dataclass(frozen=True)
class Deployment:
    """A network, ready to be started in any runtime. A started one returns its logits.

    Args:
        model: A classifier in evaluation mode, on the device of the images.
        images: RGB, uint8, of shape (N, 3, H, W). A network in PyTorch gets them normalised; on
            a GPU it runs in AMP bfloat16.
        threads: Of every runtime.
        folder: For exported files; made when it is needed.
        is_ours: Export as ``tools/export.py`` does, with the normalisation in the file, rather
            than as PyTorch does.
    """

    model: nn.Module
    pixels: Tensor
    threads: int
    folder: Path
    is_ours: bool

    def in_pytorch(
        self, *, channels_last: bool = False, compiled: bool = False, triton: bool = False
    ) -> Step:
        """PyTorch.

        Args:
            channels_last: Weights and maps in channels_last.
            compiled: By ``torch.compile``.
            triton: With our Triton kernels, which no operator chooses by itself.
        """
        model, images = self._in_channels_last() if channels_last else (self.model, self.images)
        run: Callable[[Tensor], Tensor] = torch.compile(model) if compiled else model
        device = images.device.type

        def step() -> Tensor:
            amp = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
            with torch.inference_mode(), amp, use_backend("triton" if triton else None):
                return run(images)

        return step

    def onnxruntime(self) -> Step:
        """ONNX Runtime in float32."""
        return self._onnxruntime(self._onnx)

    def onnxruntime_int8(self) -> Step:
        """ONNX Runtime on a quantized file."""
        return self._onnxruntime(self._quantize(for_onnxruntime=True))

    def openvino(self) -> Step:
        """OpenVINO held to float32."""
        return self._in_openvino(self.openvino_request(quantized=False))

    def openvino_default(self) -> Step:
        """OpenVINO in the precision that it chooses."""
        return self._in_openvino(self._openvino_request(self._onnx))

    def openvino_int8(self) -> Step:
        """OpenVINO on a quantized file; what is not quantized in it, in float32."""
        return self._in_openvino(self.openvino_request(quantized=True))

    def openvino_request(self, *, quantized: bool, **settings: str) -> Any:
        """OpenVINO's object that runs the file, in float32 where it is not quantized."""
        file = self._quantize(for_onnxruntime=False) if quantized else self._onnx
        return self._openvino_request(file, INFERENCE_PRECISION_HINT="f32", **settings)

    @cached_property
    def images(self) -> Tensor:
        """The images as a network takes them: (N, 3, H, W), float32, contiguous."""
        return (self.pixels.float() - _MEAN[0]) / _STD[0]

    def _onnxruntime(self, file: Path) -> Step:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        # Threads that wait actively would disturb the form that has the next turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
        feed = {INPUT_NAME: self.file_input.numpy()}
        return lambda: torch.from_numpy(session.run(None, feed)[0])

    def _openvino_request(self, file: Path, **settings: str) -> Any:
        settings["INFERENCE_NUM_THREADS"] = str(self.threads)
        return openvino_core(f"{file}").compile_model(file, "CPU", settings).create_infer_request()

    def _in_openvino(self, request: Any) -> Step:
        images = self.file_input.numpy()
        return lambda: torch.from_numpy(request.infer([images], share_inputs=True)[0].copy())

    def _in_channels_last(self) -> tuple[nn.Module, Tensor]:
        layout = torch.channels_last
        to_layout: Any = copy.deepcopy(self.model).to  # Its stub leaves the argument out.
        return to_layout(memory_format=layout), self.images.contiguous(memory_format=layout)

    @property
    def file_input(self) -> Tensor:
        """The images as the exported file takes them."""
        return self.pixels if self.is_ours else self.images

    @cached_property
    def _onnx(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "float32.onnx"
        if self.is_ours:
            normalisation = Normalisation(_MEAN, _STD, to_bgr=False, divisor=1, pad_value=0)
            graph = ExportGraph(copy.deepcopy(self.model), _logits, normalisation)
            write_onnx(graph.eval(), self.pixels, self._contract("fp32"), file)
            return file
        with warnings.catch_warnings():  # PyTorch's faster graph is made by its older exporter.
            warnings.simplefilter("ignore")
            options: Any = {"dynamo": False, "opset_version": OPSET, "input_names": [INPUT_NAME]}
            torch.onnx.export(self.model, (self.images,), file, **options)
        return file

    def _quantize(self, *, for_onnxruntime: bool) -> Path:
        """Quantize to int8 as ``tools/export.py`` does, calibrated on the images."""
        file = self.folder / ("int8.onnx" if for_onnxruntime else "int8_inputs.onnx")
        arrays = [self.file_input.numpy()]
        contract = self._contract("int8")
        quantize(self._onnx, arrays, contract, file, for_onnxruntime=for_onnxruntime)
        return file

    def _contract(self, precision: str) -> Contract:
        batch, _, height, width = self.pixels.shape
        return Contract(
            task="classification",
            part="whole",
            outputs=("logits",),
            batch=batch,
            height=height,
            width=width,
            dynamic=False,
            precision=precision,
            folded=True,
            mean=_MEAN,
            std=_STD,
            classes=(),
            palette=(),
            scope="mmpretrain",
            pipeline=(),
            config="",
            checkpoint="",
            version=__version__,
        )


def _logits(model: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    return (model(images),)


@dataclass(frozen=True)
class Runtime:
    """A way of running a network.

    Args:
        start: Make a step of a deployment.
        dtype: In which numbers it computes.
        layout: Of the maps; ``own`` where the runtime chooses.
    """

    start: Callable[[Deployment], Step]
    dtype: str
    layout: str


def runtimes_on(device: str, network: str) -> dict[str, Runtime]:
    """The runtimes by name, for mmpretrain's network (``mmpretrain``), ``ours`` or ``folded``.

    On a GPU that is PyTorch alone, in AMP bfloat16. Of ours only the folded form is compiled or
    exported: whoever takes that trouble folds first.
    """
    last = {"channels_last": True}
    options: dict[str, dict[str, bool]] = {"eager": {}, "channels_last": last}
    if network == "mmpretrain":
        options["compile"] = {"compiled": True}
    elif device == "cuda":
        options["triton"] = {**last, "triton": True}
    if network == "folded":
        compiled = {f"{name} compile": {**options[name], "compiled": True} for name in options}
        options |= {name: compiled[name] for name in compiled if name != "eager compile"}
    runtimes = {name: _pytorch(device, chosen) for name, chosen in options.items()}
    return runtimes if device == "cuda" or network == "ours" else {**runtimes, **_exported()}


def _pytorch(device: str, options: dict[str, bool]) -> Runtime:
    layout = "channels_last" if options.get("channels_last") else "contiguous"
    dtype = "bfloat16" if device == "cuda" else "float32"
    return Runtime(lambda deployment: deployment.in_pytorch(**options), dtype, layout)


def _exported() -> dict[str, Runtime]:
    return {
        "ONNX Runtime": Runtime(Deployment.onnxruntime, "float32", "own"),
        "ONNX Runtime int8": Runtime(Deployment.onnxruntime_int8, "int8", "own"),
        "OpenVINO": Runtime(Deployment.openvino, "float32", "own"),
        "OpenVINO default": Runtime(Deployment.openvino_default, _openvino_dtype(), "own"),
        "OpenVINO int8": Runtime(Deployment.openvino_int8, "int8", "own"),
    }


def _openvino_dtype() -> str:
    """What OpenVINO computes in when left to itself: less than float32 where the CPU has it."""
    core = openvino_core("the benchmark")
    precision: str = core.get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
    return {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[precision]
