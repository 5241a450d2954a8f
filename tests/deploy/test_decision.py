"""A file says what the library's predict says, for every head that is accepted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmvan.deploy.decision import Decision
from mmvan.deploy.export import DifferenceError, Export
from mmvan.deploy.images import draw_images
from mmvan.deploy.predictions import predict_by_contract, predict_by_library
from mmvan.deploy.runtimes import Runtime
from mmvan.deploy.verify import run_reference
from mmvan.errors import DeployError
from tests.deploy.small import request, write_checkpoint_of

LINEAR = {"num_classes": 10, "in_channels": 32}
CLASSIFIERS: dict[str, tuple[dict[str, Any], Decision]] = {
    "linear": ({"type": "LinearClsHead", "cal_acc": True, "topk": (1, 2)}, Decision("softmax")),
    "stacked": ({"type": "StackedLinearClsHead", "mid_channels": [16]}, Decision("softmax")),
    "arcface": ({"type": "ArcFaceClsHead"}, Decision("softmax")),
    "multi_label": ({"type": "MultiLabelLinearClsHead"}, Decision("sigmoid", 0.5)),
    "threshold": ({"type": "MultiLabelLinearClsHead", "thr": 0.49}, Decision("sigmoid", 0.49)),
    "topk": ({"type": "MultiLabelLinearClsHead", "topk": 7}, Decision("sigmoid", None, 7)),
    "csra": (
        {"type": "CSRAClsHead", "num_heads": 2, "lam": 0.1},
        Decision("sigmoid", 0.5),
    ),
}
BINARY = {"model.decode_head.num_classes": 2, "model.decode_head.out_channels": 1}
ENTROPY = {"type": "CrossEntropyLoss", "use_sigmoid": True}
SEGMENTORS: dict[str, tuple[dict[str, Any], Decision]] = {
    "corners": ({"model.decode_head.align_corners": True}, Decision("softmax", align_corners=True)),
    "binary": (
        {**BINARY, "model.decode_head.threshold": 0.4, "model.decode_head.loss_decode": ENTROPY},
        Decision("sigmoid", 0.4),
    ),
    # An image of 64 x 90 is padded to 64 x 96.
    "padded": ({"model.data_preprocessor.test_cfg": {"size_divisor": 32}}, Decision("softmax")),
    "ignore": ({"model.decode_head.ignore_index": 3}, Decision("softmax")),
}


def in_pytorch(task: str, changes: dict[str, Any], folder: Path, **options: Any) -> Export:
    checkpoint = write_checkpoint_of(task, folder, changes)
    images = folder / "images"
    draw_images(images, 3)
    return Export(
        request(task, checkpoint, "torchscript", folder, changes, images=images, **options)
    )


def as_runtime(export: Export) -> Runtime:
    """The reference itself, in place of a file."""
    return Runtime(
        export.contract, export.request.out, lambda images: run_reference(export.reference, images)
    )


def head_of(case: str) -> dict[str, Any]:
    changes = {"model.head": {"_delete_": True, **LINEAR, **CLASSIFIERS[case][0]}}
    return {**changes, "model.neck": None} if case == "csra" else changes


def check(export: Export, monkeypatch: pytest.MonkeyPatch, agreed: str) -> None:
    monkeypatch.setattr("mmvan.deploy.export.open_runtime", lambda *_: as_runtime(export))
    assert agreed in export.verify(export.request.out)


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_a_classifier_decides_as_its_head(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = in_pytorch("classification", head_of(case), tmp_path)
    assert export.contract.decision == CLASSIFIERS[case][1]
    check(export, monkeypatch, "labels agree with predict in 100.00% of 3")


@pytest.mark.parametrize("case", SEGMENTORS)
def test_a_segmentor_decides_as_its_head(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = in_pytorch("segmentation", SEGMENTORS[case][0], tmp_path, shape=(64, 90))
    assert export.contract.decision == SEGMENTORS[case][1]
    check(export, monkeypatch, "labels agree with predict in 100.00% of ")
    (image, *_) = export._images(export.contract)
    expected = predict_by_library(export.model, image, export.contract)
    (logits,) = as_runtime(export).run(image.image[None])
    assert logits.shape[2:] == (64, 90)
    assert torch.equal(
        expected.labels, predict_by_contract(logits[0], image, export.contract).labels
    )
    assert expected.labels.shape == image.size != (64, 90)


def test_what_issue_11_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One channel: the library says 1 where the sigmoid exceeds the threshold, not 0 everywhere."""
    export = in_pytorch("segmentation", SEGMENTORS["binary"][0], tmp_path)
    head: Any = export.model
    head.decode_head.conv_seg.bias.data.fill_(10.0)
    (image, *_) = export._images(export.contract)
    (logits,) = as_runtime(export).run(image.image[None])
    assert (predict_by_library(export.model, image, export.contract).labels == 1).all()
    assert (predict_by_contract(logits[0], image, export.contract).labels == 1).all()


@pytest.mark.parametrize(
    ("task", "changes", "wrong"),
    (
        ("classification", head_of("multi_label"), Decision("softmax")),
        ("classification", head_of("multi_label"), Decision("sigmoid", 0.9)),
        ("classification", {}, Decision("sigmoid", 0.5)),
        ("segmentation", SEGMENTORS["corners"][0], Decision("softmax")),
        ("segmentation", {}, Decision("sigmoid", 0.5)),
    ),
)
def test_a_wrong_post_processing_is_caught(
    task: str,
    changes: dict[str, Any],
    wrong: Decision,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = in_pytorch(task, changes, tmp_path)
    export.contract = replace(export.contract, decision=wrong)
    monkeypatch.setattr("mmvan.deploy.export.open_runtime", lambda *_: as_runtime(export))
    with pytest.raises(DifferenceError, match="post-processing is not that of the model's head"):
        export.verify(export.request.out)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "conformer": (
        "classification",
        {
            "model.neck": None,
            "model.head": {"_delete_": True, "type": "ConformerHead", "num_classes": 3}
            | {"in_channels": (32, 32)},
        },
        r"ConformerHead predicts by functions of its own.* the heads .*LinearClsHead",
    ),
    "da": (
        "segmentation",
        {
            "model.decode_head": {"_delete_": True, "type": "DAHead", "num_classes": 8}
            | {"in_channels": 128, "channels": 8, "pam_channels": 8, "in_index": 0}
        },
        r"DAHead predicts by functions of its own.* the heads .*FPNHead",
    ),
    "slide": (
        "segmentation",
        {"model.test_cfg": {"mode": "slide", "crop_size": (64, 64), "stride": (32, 32)}},
        r"sliding windows \(model\.test_cfg\.mode='slide'\)",
    ),
    "padded to a size": (
        "segmentation",
        {"model.data_preprocessor.test_cfg": {"size": (128, 128)}},
        r"data_preprocessor\.test_cfg\.size=\(128, 128\) pads images",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_head_that_decides_otherwise_is_refused_by_name(case: str, tmp_path: Path) -> None:
    task, changes, message = REFUSED[case]
    with pytest.raises(DeployError, match=message):
        in_pytorch(task, changes, tmp_path)
