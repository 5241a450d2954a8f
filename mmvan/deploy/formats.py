"""The formats of exported graphs, and writing a graph in each."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmvan.checkpoint.writing import put_in_place
from mmvan.deploy.contract import INPUT_NAME, KEY, Contract
from mmvan.deploy.graphs import ExportGraph, replace_layer_norms
from mmvan.deploy.packages import need, openvino_core
from mmvan.errors import DeployError

# The first opset with Gelu as one operator, which ONNX Runtime and OpenVINO compute in one pass.
OPSET = 20
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        ending: Of the file that is named; OpenVINO puts the weights beside it, as ``.bin``.
        precisions: What it can be written in.
        write: Writes (graph, example, contract, file).
    """

    ending: str
    precisions: tuple[str, ...]
    write: Callable[[ExportGraph, Tensor, Contract, Path], None]


def write_onnx(graph: ExportGraph, example: Tensor, contract: Contract, file: Path) -> None:
    """Write ONNX by PyTorch's exporter that is built on torch.export; changes ``graph``.

    Args:
        graph: The graph.
        example: Images of the shape to trace with.
        contract: What the file is to say about itself; int8 is left to the quantizer.
        file: The ``.onnx`` to write.

    Raises:
        DeployError: A package is missing, or the graph cannot be exported so.
    """
    onnx = need("onnx", "--format onnx or openvino")
    need("onnxscript", "--format onnx or openvino")
    replace_layer_norms(graph.model)
    graph.model.to(_DTYPES.get(contract.precision, torch.float32))
    with _explained(contract), _quiet():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=list(contract.outputs),
            dynamic_shapes=_dynamic_shapes(contract),
        )
    assert program is not None  # It is when dynamo=True.
    proto = program.model_proto
    _forget_sources(proto)
    onnx.helper.set_model_props(proto, {KEY: contract.to_text()})
    onnx.save(proto, file)


def write_openvino(graph: ExportGraph, example: Tensor, contract: Contract, file: Path) -> None:
    """Write OpenVINO's form of the ONNX graph; arguments and errors as :func:`write_onnx`.

    The weights are kept in float16 for ``fp16`` and ``bf16``; the precision of the computing is
    chosen when the file is loaded, by what the contract says.
    """
    source = file.with_suffix(".onnx")
    as_float32 = Contract(**{**vars(contract), "precision": "fp32"})
    write_onnx(graph, example, as_float32, source)
    convert_to_openvino(source, contract, file)
    source.unlink()


def convert_to_openvino(source: Path, contract: Contract, file: Path) -> None:
    """Write an ONNX file, quantized or not, as OpenVINO's ``.xml`` and ``.bin``.

    Args:
        source: The ``.onnx``.
        contract: What the file is to say about itself.
        file: The ``.xml`` to write.

    Raises:
        DeployError: OpenVINO is not installed.
    """
    model = openvino_core("--format openvino").read_model(source)
    model.set_rt_info(contract.to_text(), KEY)
    need("openvino", "--format openvino").save_model(
        model, file, compress_to_fp16=contract.precision in _DTYPES
    )


def write_torchscript(graph: ExportGraph, example: Tensor, contract: Contract, file: Path) -> None:
    """Write TorchScript by tracing; arguments and errors as :func:`write_onnx`."""
    graph.model.to(_DTYPES.get(contract.precision, torch.float32))
    with _explained(contract), _quiet(), torch.no_grad():
        traced: Any = torch.jit.trace(graph, (example,), check_trace=False)
        # The parameters become constants, so that PyTorch may fuse them into its operators.
        traced = torch.jit.freeze(traced.eval())
        torch.jit.save(traced, str(file), _extra_files={KEY: contract.to_text()})


def write_torch_export(graph: ExportGraph, example: Tensor, contract: Contract, file: Path) -> None:
    """Write a program of torch.export; arguments and errors as :func:`write_onnx`."""
    graph.model.to(_DTYPES.get(contract.precision, torch.float32))
    with _explained(contract), _quiet(), torch.no_grad():
        program = torch.export.export(
            graph, (example,), dynamic_shapes=_dynamic_shapes(contract), strict=False
        )
        torch.export.save(program, file, extra_files={KEY: contract.to_text()})


FORMATS = {
    "onnx": Format(".onnx", ("fp32", "fp16", "int8"), write_onnx),
    "openvino": Format(".xml", ("fp32", "fp16", "bf16", "int8"), write_openvino),
    "torchscript": Format(".pt", ("fp32", "fp16", "bf16"), write_torchscript),
    "torch-export": Format(".pt2", ("fp32", "fp16", "bf16"), write_torch_export),
}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def check_format(name: str, precision: str, out: Path) -> None:
    """Check that a format has a precision and that a file's name has its ending.

    Raises:
        DeployError: One does not fit; the message says what does.
    """
    form = FORMATS[name]
    if precision not in form.precisions:
        having = [key for key, other in FORMATS.items() if precision in other.precisions]
        raise DeployError(
            f"--precision {precision}: --format {name} has {', '.join(form.precisions)}; "
            f"{precision} is in {', '.join(having)}"
        )
    if out.suffix != form.ending:
        raise DeployError(f"--out {out}: the ending of --format {name} is {form.ending}")


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Give a name in a folder of its own to write to; what is there takes its place at the end.

    Args:
        out: The final name. Files with the same stem beside the written one go with it.

    Yields:
        Path: The name to write to. If the block fails, nothing is left and ``out`` is as it was.

    Raises:
        DeployError: The folder cannot be written to.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            staged = Path(folder, out.name)
            yield staged
            # The named file last: whoever sees it finds its weights too.
            written = sorted(staged.parent.glob(f"{out.stem}.*"), key=lambda file: file == staged)
            for file in written:
                put_in_place(file, out.with_name(file.name))
    except OSError as error:
        raise DeployError(f"--out {out} cannot be written: {error}") from error


def _forget_sources(proto: Any) -> None:
    """Take out the exporter's notes on each operator, which hold paths of this machine."""
    for node in (*proto.graph.node, *proto.graph.value_info):
        del node.metadata_props[:]


def _dynamic_shapes(contract: Contract) -> tuple[dict[int, Any]] | None:
    if not contract.dynamic:
        return None
    return (dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC),)


@contextmanager
def _explained(contract: Contract) -> Iterator[None]:
    """Turn what the exporters raise, of any type, into a message about the model."""
    try:
        yield
    except DeployError:
        raise
    except Exception as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        advice = (
            " Some heads need a fixed size (pyramid pooling does): leave out --dynamic."
            if contract.dynamic
            else " Another --format or --part may do."
        )
        raise DeployError(
            f"{contract.config}: --part {contract.part} cannot be traced: {reason}.{advice}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes on their own progress and successors from the user."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
