"""Every format holds what PyTorch computes, of every kind of model, and says what it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, DefaultScope
from torch import nn

from mmvan.data.sample import prepare
from mmvan.deploy.contract import Contract
from mmvan.deploy.export import DifferenceError, Export, Request
from mmvan.deploy.formats import FORMATS
from mmvan.deploy.graphs import require_any_size
from mmvan.deploy.images import draw_images
from mmvan.deploy.runtimes import open_runtime
from mmvan.deploy.verify import TOLERANCES
from mmvan.engine.config import load_config
from mmvan.errors import CheckpointError, DataError, DeployError
from tests.deploy.small import SHAPE, config_of, request

# Shapes of the outputs of images of 64 x 96.
OUTPUTS = {
    ("classification", "whole"): [(1, 10)],
    ("classification", "backbone"): [(1, 8, 16, 24), (1, 16, 8, 12), (1, 24, 4, 6), (1, 32, 2, 3)],
    ("segmentation", "whole"): [(1, 8, 64, 96)],
    ("detection", "features"): [(1, 128, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
    + [(1, 128, 1, 2)],
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("task", "part"), OUTPUTS)
def test_every_format_holds_every_kind_of_model(
    form: str, task: str, part: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request(task, checkpoints[task], form, tmp_path, part=part, folded=True)
    (said,) = Export(asked).write()
    assert said.startswith(f"{asked.out}: max difference ")
    assert ("labels agree with predict in 100.00%" in said) == (part == "whole")
    endings = {".xml", ".bin"} if form == "openvino" else {FORMATS[form].ending}
    assert {file.suffix for file in tmp_path.iterdir()} == endings
    runtime = open_runtime(asked.out, threads=1)
    outputs = runtime.run(np.zeros((1, 3, *SHAPE), np.uint8))
    assert [output.shape for output in outputs] == OUTPUTS[task, part]
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "form"),
    (
        ("classification", "torchscript"),
        ("segmentation", "openvino"),  # By way of ONNX.
        ("detection", "torch-export"),
    ),
)
def test_dynamic_files_take_other_numbers_and_sizes(
    task: str, form: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request(task, checkpoints[task], form, tmp_path, dynamic=True)
    export = Export(asked)
    first, second = export._inputs()
    shapes = {array.shape for array in (*first, *second)}
    assert {shape[0] for shape in shapes} == {1, 2}
    # The config's own sizes, and the odd one.
    assert (2, 3, SHAPE[0] + 45, SHAPE[1] - 19) in shapes
    assert len(shapes) >= 2
    (said,) = export.write()
    assert f"tolerance {TOLERANCES['fp32']:g}" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "precision"),
    (
        ("onnx", "fp16"),
        ("openvino", "fp16"),
        ("openvino", "bf16"),
        ("torchscript", "bf16"),
        ("torch-export", "fp16"),
    ),
)
def test_half_precisions_are_within_their_tolerance(
    form: str, precision: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request(
        "classification", checkpoints["classification"], form, tmp_path, precision=precision
    )
    (said,) = Export(asked).write()
    assert f"tolerance {TOLERANCES[precision]:g}" in said
    assert open_runtime(asked.out, 1).contract.precision == precision


@pytest.mark.slow
@pytest.mark.parametrize("form", ("onnx", "openvino"))
def test_int8_is_timed_and_evaluated(
    form: str, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(Path("data", "sample"), "cls", counts=(2, 1))
    folder = Path("data/sample/imagenet/train")
    asked = request(
        "classification",
        checkpoints["classification"],
        form,
        tmp_path,
        precision="int8",
        folded=True,
        calibrate=folder,
        images=folder,
    )
    difference, scheme, times, accuracy = Export(asked).write()
    assert scheme == "int8: weights of 7 bits per channel, activations of 8 per tensor"
    assert open_runtime(asked.out, 1).contract.weight_bits == 7
    assert f"tolerance {TOLERANCES['int8']:g}" in difference
    assert times.startswith("ms per call of 1: fp32 ")
    assert accuracy.startswith("accuracy/top1: fp32 ")
    if form == "onnx":
        proto = onnx.load(asked.out)
        convolutions = {n.name for n in proto.graph.node if n.op_type == "Conv"}
        made = {o: n.op_type for n in proto.graph.node for o in n.output}
        inputs = [made.get(n.input[0]) for n in proto.graph.node if n.name in convolutions]
        assert len(inputs) == len(convolutions) == 4 + 4 * 8
        assert set(inputs) == {"DequantizeLinear"}
        weights = [t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.INT8]
        values = [onnx.numpy_helper.to_array(t) for t in weights if len(t.dims) == 4]
        assert len(values) == len(convolutions)
        assert max(abs(v.astype(int)).max() for v in values) == 64


@pytest.mark.slow
def test_int8_of_a_segmentor_is_evaluated_by_its_own_metric(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(Path("data", "sample"), "seg", counts=(2, 2))
    folder = Path("data/sample/ade20k/images/training")
    options = {"precision": "int8", "calibrate": folder, "images": folder, "folded": True}
    asked = request("segmentation", checkpoints["segmentation"], "onnx", tmp_path, **options)
    *_, accuracy = Export(asked).write()
    values = dict(line.split(": ") for line in accuracy.splitlines())
    assert list(values) == ["aAcc", "mIoU", "mAcc"]
    fp32, int8 = (part.split()[1] for part in values["mIoU"].split(", "))
    model: Any = Export(asked).model
    assert fp32 == f"{mean_iou(model, asked):.2f}"
    assert 0 < float(int8) <= 100


def mean_iou(model: Any, asked: Request) -> float:
    """As ``mmvan test`` would find it, but for the size of the images that the file takes."""
    cfg = load_config(asked.config, asked.overrides, ("model", "test_dataloader"))
    with DefaultScope.overwrite_default_scope("mmseg"):
        cfg.test_dataloader.dataset.pipeline[1:3] = [{"type": "Resize", "scale": SHAPE[::-1]}]
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset.metainfo
        for data in dataset:
            evaluator.process(model.test_step(pseudo_collate([data])))
        return float(evaluator.evaluate(len(dataset))["mIoU"])


@pytest.mark.slow
def test_int8_says_where_accuracy_is_not_measured(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_images(tmp_path / "images", 3)
    asked = request(
        "classification",
        checkpoints["classification"],
        "onnx",
        tmp_path,
        precision="int8",
        calibrate=tmp_path / "images",
    )
    *_, accuracy = Export(asked).write()
    assert accuracy.startswith("accuracy: not measured, the test set of ")
    assert "data/sample/imagenet" in accuracy


@pytest.mark.slow
def test_onnx_has_no_transposes_and_one_operator_for_gelu(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request("classification", checkpoints["classification"], "onnx", tmp_path, folded=True)
    export = Export(asked)
    assert export.model.backbone.channels_last
    export.write()
    text = asked.out.read_bytes()
    kinds = [node.op_type for node in onnx.load(asked.out).graph.node]
    assert {kind: kinds.count(kind) for kind in ("Conv", "Gelu", "Transpose", "Erf")} == {
        "Conv": 4 + 4 * 8,
        "Gelu": 2 * 4,
        "Transpose": 0,
        "Erf": 0,
    }
    assert b"site-packages" not in text


def test_the_file_says_what_it_is(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    asked = request("classification", checkpoints["classification"], "onnx", tmp_path, shape=None)
    contract = Export(asked).contract
    assert (contract.task, contract.part, contract.outputs) == (
        "classification",
        "whole",
        ("logits",),
    )
    assert (contract.height, contract.width, contract.batch) == (80, 80, 1)
    assert contract.mean == contract.std == (127.5, 127.5, 127.5)
    assert (len(contract.classes), contract.classes[0]) == (10, "striped disc")
    assert contract.checkpoint == str(checkpoints["classification"])
    assert contract.config == config_of("classification")
    kinds = [step["type"] for step in contract.pipeline]
    assert kinds == ["LoadImageFromFile", "ResizeEdge", "CenterCrop"]


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_found(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request("classification", checkpoints["classification"], "onnx", tmp_path)
    export = Export(asked)
    export.write()
    proto = onnx.load(asked.out)
    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = np.frombuffer(largest.raw_data, np.float32).copy()
    values[: len(values) // 2] = 0
    largest.raw_data = values.tobytes()
    onnx.save(proto, asked.out)
    with pytest.raises(DifferenceError, match=r"beyond the tolerance of 0\.0001"):
        export.verify(asked.out)


@pytest.mark.slow
def test_a_file_beyond_the_tolerance_is_not_left(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLERANCES, "fp32", -1.0)
    asked = request("classification", checkpoints["classification"], "onnx", tmp_path)
    asked.out.write_text("what was here before")
    with pytest.raises(DifferenceError):
        Export(asked).write()
    assert [file.name for file in tmp_path.iterdir()] == ["van.onnx"]
    assert asked.out.read_text() == "what was here before"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "precision": ({"precision": "bf16"}, "--precision bf16: --format onnx has fp32, fp16, int8"),
    "calibration": ({"precision": "int8"}, "--precision int8 needs --calibrate DIR"),
    "ending": ({"out": Path("van.xml")}, r"--out van\.xml: the ending of --format onnx is \.onnx"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    options, message = REFUSED[case]
    asked = request("classification", checkpoints["classification"], "onnx", tmp_path)
    with pytest.raises(DeployError, match=message):
        Export(replace(asked, **options))


def test_a_detector_is_not_exported_whole(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    asked = request("detection", checkpoints["detection"], "onnx", tmp_path, part="whole")
    with pytest.raises(DeployError, match=r"heads of MaskRCNN .*--part features"):
        Export(asked)


@pytest.mark.parametrize("name", ("onnx", "openvino"))
def test_pooling_to_cells_has_no_dynamic_graph(name: str) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(3))
    with pytest.raises(DeployError, match=r"1 pools maps of any size to 3 cells a side"):
        require_any_size(head, name)
    require_any_size(head, "torch-export")
    require_any_size(head[:1], name)


def test_a_missing_checkpoint_or_folder_is_named(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request("classification", tmp_path / "no.pth", "onnx", tmp_path)
    with pytest.raises(CheckpointError, match=r"CHECKPOINT .*no\.pth: no such file"):
        Export(asked)
    asked = request(
        "classification",
        checkpoints["classification"],
        "torchscript",
        tmp_path,
        images=tmp_path / "none",
    )
    with pytest.raises(DataError, match=r"--images .*none: no such folder"):
        Export(asked).write()
    assert list(tmp_path.iterdir()) == []


def test_contracts_are_read_as_they_were_written(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    from mmvan.deploy.contract import read_contract

    asked = request("segmentation", checkpoints["segmentation"], "onnx", tmp_path, dynamic=True)
    contract = Export(asked).contract
    assert read_contract(contract.to_text(), "van.onnx") == contract
    assert isinstance(contract, Contract)
    assert contract.palette[0] == (6, 230, 230)
    for text, message in (
        (None, "has no entry 'mmvan' in its metadata"),
        ("{", "is damaged"),
        ('{"task": "x"}', r"of another version of mmvan: missing \['batch'"),
    ):
        with pytest.raises(DeployError, match=message):
            read_contract(text, "van.onnx")
