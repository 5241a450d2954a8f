"""Post-training quantisation to int8 by ONNX Runtime's quantizer.

Weights get one scale per output channel, activations one scale and zero point per tensor, from the
smallest and largest values over the calibration images. The convolutions alone compute in int8:
the gate (a product of two maps), the shortcuts, the normalisations and the classifier stay in
float32, because they cost little and lose most.

Weights use 7 bits by default. Processors without VNNI add two products of an unsigned and a signed
byte in 16 bits, which saturates: 2 x 255 x 127 does not fit, 2 x 255 x 64 does. It is the remedy
that ONNX Runtime documents (``reduce_range``), and what OpenVINO computes there needs it too.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmvan.deploy.contract import INPUT_NAME, KEY, Contract
from mmvan.deploy.packages import need
from mmvan.deploy.runtimes import Array


def quantize(
    source: Path, images: Iterable[Array], contract: Contract, file: Path, *, for_onnxruntime: bool
) -> None:
    """Quantise an ONNX file, with quantisation written as QuantizeLinear / DequantizeLinear pairs.

    Args:
        source: The float32 graph.
        images: Calibration images, uint8, (N, 3, H, W) each.
        contract: What the file is to say about itself; its ``weight_bits`` are 7 or 8.
        file: The ``.onnx`` to write.
        for_onnxruntime: Quantise the outputs of the convolutions too. ONNX Runtime computes in
            int8 only between two quantised tensors. OpenVINO needs quantised inputs alone, and is
            faster and more accurate without the others.

    Raises:
        DeployError: ONNX Runtime is not installed.
    """
    onnx = need("onnx", "--precision int8")
    tools = need("onnxruntime.quantization", "--precision int8")
    prepared = file.with_suffix(".prepared.onnx")
    options = {} if for_onnxruntime else {"OpTypesToExcludeOutputQuantization": ["Conv"]}
    with _quiet():
        tools.quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        tools.quantize_static(
            prepared,
            file,
            _reader(tools, images),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=contract.weight_bits == 7,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            calibrate_method=tools.CalibrationMethod.MinMax,
            extra_options={"WeightSymmetric": True, **options},
        )
    prepared.unlink()
    proto = onnx.load(file)
    onnx.helper.set_model_props(proto, {KEY: contract.to_text()})
    onnx.save(proto, file)


def _reader(tools: Any, images: Iterable[Array]) -> Any:
    class Reader(tools.CalibrationDataReader):  # type: ignore[name-defined]
        """Hands one array after the other to the calibrator."""

        def __init__(self) -> None:
            self.waiting: Iterator[Array] = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            """The next array; None after the last one."""
            array = next(self.waiting, None)
            return None if array is None else {INPUT_NAME: array}

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer advises by the root logger what has been done already."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
