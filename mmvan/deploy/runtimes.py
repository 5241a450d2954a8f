"""Running exported files, each with its own runtime, told from the file's ending."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmvan.deploy.contract import INPUT_NAME, KEY, Contract, read_contract
from mmvan.deploy.packages import openvino_core
from mmvan.deploy.providers import (
    CPU,
    Provider,
    check_provider,
    open_session,
    openvino_device,
    read_provider,
)
from mmvan.errors import DeployError

Array = NDArray[Any]
# What OpenVINO calls the precisions; a file with int8 operators computes the others in float32.
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}


@dataclass(frozen=True)
class Runtime:
    """An exported file, ready to run.

    Args:
        contract: What the file says about itself.
        file: Its name.
        call: Runs the graph on uint8 images (N, 3, H, W).
    """

    contract: Contract
    file: Path
    call: Callable[[Array], list[Array]]

    def run(self, images: Array) -> list[Array]:
        """Compute the outputs of images.

        Args:
            images: RGB, uint8, shape (N, 3, H, W).

        Returns:
            list[Array]: Float32 arrays, in the order of ``contract.outputs``.

        Raises:
            DeployError: The images do not fit, or the runtime fails.
        """
        if images.dtype != np.uint8:
            raise DeployError(f"{self.file} takes uint8 images, 0 to 255, got {images.dtype}")
        self.contract.check_input(images.shape, str(self.file))
        try:
            return self.call(np.ascontiguousarray(images))
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise DeployError(
                f"{self.file} fails on images of shape {images.shape}: {reason}. If it was "
                "exported with --dynamic, its head may need a fixed size, as pyramid pooling does."
            ) from error


def open_runtime(file: Path, threads: int | None = None, provider: str = CPU) -> Runtime:
    """Load an exported file into the runtime of its format.

    TorchScript files and torch.export programs can execute code: open only those you trust.

    Args:
        file: The ``.onnx``, ``.xml``, ``.pt`` or ``.pt2``.
        threads: Threads to compute with; None for what the runtime chooses.
        provider: What computes: ``cpu``, ``cuda``, ``tensorrt`` or ``openvino``, perhaps with a
            device, as in ``cuda:1`` and ``openvino:GPU``. A ``.xml`` takes ``cpu`` and
            ``openvino``, a ``.pt`` and a ``.pt2`` ``cpu`` alone.

    Returns:
        Runtime: Ready to run.

    Raises:
        DeployError: The file is missing, damaged or of no known format, or its runtime or the
            provider is not installed, or cannot be loaded.
    """
    chosen = read_provider(provider)
    if not file.is_file():
        raise DeployError(f"{file}: no such file; expected one that tools/export.py wrote")
    if file.suffix not in _OPENERS:
        raise DeployError(f"{file}: the ending must be one of {', '.join(_OPENERS)}")
    if file.suffix == ".xml" and not file.with_suffix(".bin").is_file():
        raise DeployError(f"{file}: its weights, {file.with_suffix('.bin')}, are not beside it")
    try:
        return _OPENERS[file.suffix](file, threads, chosen)
    except DeployError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise DeployError(f"{file} cannot be loaded: {reason}. Export the model again.") from error


def _open_onnx(file: Path, threads: int | None, provider: Provider) -> Runtime:
    session = open_session(file, threads, provider)
    contract = read_contract(session.get_modelmeta().custom_metadata_map.get(KEY), str(file))
    return Runtime(contract, file, lambda images: session.run(None, {INPUT_NAME: images}))


def _open_openvino(file: Path, threads: int | None, provider: Provider) -> Runtime:
    core = openvino_core(f"{file}")
    model = core.read_model(file)
    contract = read_contract(
        model.get_rt_info(KEY).value if KEY in model.rt_info else None, str(file)
    )
    # Without a hint OpenVINO computes in bfloat16 wherever the processor has it.
    settings = {"INFERENCE_PRECISION_HINT": _HINTS[contract.precision], "NUM_STREAMS": 1}
    device = openvino_device(core, provider)
    if threads and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = threads
    request = core.compile_model(model, device, settings).create_infer_request()

    def call(images: Array) -> list[Array]:
        results = request.infer([images], share_inputs=True)
        return [results[i].copy() for i in range(len(contract.outputs))]

    return Runtime(contract, file, call)


def _open_torchscript(file: Path, threads: int | None, provider: Provider) -> Runtime:
    check_provider(provider, file.suffix)
    extra = {KEY: ""}
    module = torch.jit.load(str(file), map_location="cpu", _extra_files=extra)
    text: Any = extra[KEY]
    contract = read_contract(text.decode() if isinstance(text, bytes) else text, str(file))
    return Runtime(contract, file, _torch_call(module, threads))


def _open_torch_export(file: Path, threads: int | None, provider: Provider) -> Runtime:
    check_provider(provider, file.suffix)
    extra = {KEY: ""}
    program = torch.export.load(file, extra_files=extra)
    contract = read_contract(extra[KEY], str(file))
    return Runtime(contract, file, _torch_call(program.module(), threads))


def _torch_call(module: Any, threads: int | None) -> Callable[[Array], list[Array]]:
    def call(images: Array) -> list[Array]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            with torch.inference_mode():
                return [output.numpy() for output in module(torch.from_numpy(images))]
        finally:
            torch.set_num_threads(before)

    return call


_OPENERS: dict[str, Callable[[Path, int | None, Provider], Runtime]] = {
    ".onnx": _open_onnx,
    ".xml": _open_openvino,
    ".pt": _open_torchscript,
    ".pt2": _open_torch_export,
}
