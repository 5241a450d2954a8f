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

_OPSET = 20  # The first with a Gelu node.


@dataclass(frozen=True)
class Deployment:
    """A network, ready to be started in any runtime. A started one returns its logits.

    Args:
        model: In evaluation mode, on the device of the images.
        images: Of shape (N, 3, H, W), contiguous. On a GPU the network runs in AMP bfloat16.
        threads: Of every runtime.
        folder: For exported files; made when it is needed.
    """

    model: nn.Module
    images: Tensor
    threads: int
    folder: Path

    def eager(self) -> Step:
        """PyTorch as it comes."""
        return self._step(self.model, self.images)

    def channels_last(self) -> Step:
        """PyTorch with weights and maps in channels_last."""
        return self._step(*self._in_channels_last())

    def compiled(self) -> Step:
        """``torch.compile``."""
        return self._step(torch.compile(self.model), self.images)

    def compiled_channels_last(self) -> Step:
        """``torch.compile`` of the channels_last form."""
        model, images = self._in_channels_last()
        return self._step(torch.compile(model), images)

    def onnxruntime(self) -> Step:
        """ONNX Runtime in float32."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        # Threads that wait actively would disturb the form that has the next turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(self._onnx, options, ["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: self.images.numpy()}
        return lambda: torch.from_numpy(session.run(None, feed)[0])

    def openvino(self) -> Step:
        """OpenVINO held to float32."""
        return self._openvino(INFERENCE_PRECISION_HINT="f32")

    def openvino_default(self) -> Step:
        """OpenVINO in the precision that it chooses."""
        return self._openvino()

    def _openvino(self, **settings: str) -> Step:
        import openvino

        settings["INFERENCE_NUM_THREADS"] = str(self.threads)
        compiled = openvino.Core().compile_model(self._onnx, "CPU", settings)
        request = compiled.create_infer_request()
        images = self.images.numpy()
        return lambda: torch.from_numpy(request.infer([images])[0].copy())

    def _step(self, model: Callable[[Tensor], Tensor], images: Tensor) -> Step:
        device = images.device.type

        def step() -> Tensor:
            amp = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
            with torch.inference_mode(), amp:
                return model(images)

        return step

    def _in_channels_last(self) -> tuple[nn.Module, Tensor]:
        layout = torch.channels_last
        to_layout: Any = copy.deepcopy(self.model).to  # Its stub leaves the argument out.
        return to_layout(memory_format=layout), self.images.contiguous(memory_format=layout)

    @cached_property
    def _onnx(self) -> str:
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "model.onnx"
        with warnings.catch_warnings():  # It traces, and tells so at every step.
            warnings.simplefilter("ignore")
            torch.onnx.export(self.model, (self.images,), file, dynamo=False, opset_version=_OPSET)
        return str(file)


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


def runtimes_on(device: str) -> dict[str, Runtime]:
    """The runtimes of a device by name; on a GPU PyTorch alone, in AMP bfloat16."""
    dtype = "bfloat16" if device == "cuda" else "float32"
    in_pytorch = {
        "eager": Runtime(Deployment.eager, dtype, "contiguous"),
        "channels_last": Runtime(Deployment.channels_last, dtype, "channels_last"),
        "compile": Runtime(Deployment.compiled, dtype, "contiguous"),
        "channels_last compile": Runtime(Deployment.compiled_channels_last, dtype, "channels_last"),
    }
    if device == "cuda":
        return in_pytorch
    return {
        **in_pytorch,
        "ONNX Runtime": Runtime(Deployment.onnxruntime, "float32", "own"),
        "OpenVINO": Runtime(Deployment.openvino, "float32", "own"),
        "OpenVINO default": Runtime(Deployment.openvino_default, _openvino_dtype(), "own"),
    }


def _openvino_dtype() -> str:
    """What OpenVINO computes in when it is left to itself: bfloat16 on CPUs that have it."""
    import openvino

    precision: str = openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
    return {"f32": "float32", "bf16": "bfloat16"}.get(precision, precision)
