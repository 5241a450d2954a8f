"""Whole analyses of constructed predictions on small datasets, against the libraries' metrics."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmvan.analysis.confusion import confusion_matrix, confusion_section
from mmvan.analysis.errors import errors_section
from mmvan.analysis.per_class import per_class_section
from mmvan.analysis.sources import Predicted, open_tested
from mmvan.analysis.worst import browse_section, image_scores, worst_section
from mmvan.errors import DataError
from mmvan.inference.model import find_config
from mmvan.visualization.augment import augmented, batch_augmentations, build_dataset

CLASSES = ["cat", "dog", "cow"]


def photo(path: Path, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "gray").save(path)


@pytest.fixture(scope="module")
def detection(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predicted, Path]:
    root = tmp_path_factory.mktemp("coco")
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    results = []
    for image in range(4):
        photo(root / "val" / f"{image}.png")
        boxes = np.concatenate([rng.integers(0, 24, (5, 2)), rng.integers(12, 24, (5, 2))], 1)
        labels = rng.integers(0, 3, 5)
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 10 * (label + 1)}
                | {"bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            )
        moved = boxes + rng.integers(-3, 4, boxes.shape)
        moved[:, 2:] = moved[:, :2] + np.maximum(moved[:, 2:], 4)
        guessed = np.where(rng.random(5) < 0.3, (labels + 1) % 3, labels)
        instances = {"bboxes": torch.tensor(moved).float(), "labels": torch.tensor(guessed)}
        instances["scores"] = torch.tensor(rng.random(5)).float()
        results.append({"img_id": image, "pred_instances": instances})
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(4)],
        "categories": [{"id": 10 * (i + 1), "name": name} for i, name in enumerate(CLASSES)],
        "annotations": annotations,
    }
    (root / "val.json").write_text(json.dumps(content))
    (root / "out.pkl").write_bytes(pickle.dumps(results))
    cfg = find_config("van_t_retinanet")
    cfg.test_dataloader.dataset.update(
        data_root=f"{root}/",
        ann_file="val.json",
        data_prefix={"img": "val/"},
        metainfo={"classes": CLASSES},
    )
    cfg.val_dataloader = cfg.test_dataloader
    return open_tested(cfg, root / "out.pkl"), root


def test_ap_of_the_classes_is_pycocotools(detection: tuple[Predicted, Path]) -> None:
    tested, root = detection
    section = per_class_section(tested)
    results = [
        {"image_id": each["img_id"], "category_id": 10 * (int(label) + 1), "score": float(score)}
        | {"bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]}
        for each in tested.predictions
        for box, label, score in zip(*each["pred_instances"].values(), strict=True)
    ]
    truth = COCO(str(root / "val.json"))
    for i, name in enumerate(CLASSES):
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.catIds = [10 * (i + 1)]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        (row,) = [row for row in section.rows if row[0] == name]
        assert row[1:] == pytest.approx([100 * x for x in evaluation.stats[:2]])
        assert 0 < row[1] < 100
    assert [row[1] for row in section.rows] == sorted(row[1] for row in section.rows)


def test_errors_and_confusion_add_up(detection: tuple[Predicted, Path]) -> None:
    tested, _ = detection
    counts = {row[0]: row[1] for row in errors_section(tested, 0.0).rows}
    assert sum(count for kind, count in counts.items() if kind != "missed") == 20
    assert counts["correct"] > 0
    matrix, names, _ = confusion_matrix(tested, 0.0)
    assert names == [*CLASSES, "(nothing)"]
    assert matrix[:-1].sum() == 20  # Every object once.
    assert matrix[:, :-1].sum() == 20  # Every box once.


def test_worst_images_are_drawn(detection: tuple[Predicted, Path]) -> None:
    tested, _ = detection
    section = worst_section(tested, 2, 0.0)
    scores, _ = image_scores(tested, 0.0)
    assert [row[2] for row in section.rows] == sorted(scores)[:2]
    ((_, figure),) = section.figures
    assert len([axes for axes in figure.axes if axes.get_images()]) == 2


def test_a_dataset_is_browsed_as_stored(detection: tuple[Predicted, Path]) -> None:
    cfg = detection[0].cfg
    dataset = build_dataset(cfg, "val", as_stored=True)
    section = browse_section(cfg, dataset, [0, 2], "val")
    assert [(row[0], row[2]) for row in section.rows] == [(0, 5), (2, 5)]
    ((_, figure),) = section.figures
    image = figure.axes[0].get_images()[0].get_array()
    assert image.shape == (48, 64, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 1  # Something is drawn.


def test_augmentations_are_drawn(detection: tuple[Predicted, Path]) -> None:
    cfg = detection[0].cfg
    cfg.train_dataloader.dataset.update(
        {k: cfg.test_dataloader.dataset[k] for k in ("data_root", "ann_file", "data_prefix")},
        metainfo={"classes": CLASSES},
    )
    original, samples = augmented(cfg, build_dataset(cfg, "train"), 1, 2)
    assert original.shape == (48, 64, 3)
    assert len(samples) == 2
    assert min(samples[0].shape[:2]) > 64  # Scaled up by the pipeline.
    assert batch_augmentations(cfg) == []


def test_predictions_of_something_else(detection: tuple[Predicted, Path], tmp_path: Path) -> None:
    tested, _ = detection
    with pytest.raises(DataError, match=r"no such file; make it by tools/test\.py"):
        open_tested(tested.cfg, tmp_path / "a.pkl")
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(tested.predictions[:2]))
    with pytest.raises(DataError, match="2 images, but the test dataset"):
        open_tested(tested.cfg, tmp_path / "b.pkl")


@pytest.fixture
def classification(tmp_path: Path) -> Predicted:
    for name in sorted(CLASSES):  # The order in which the dataset reads its folders.
        for i in range(2):
            photo(tmp_path / "val" / name / f"{i}.png")
    scores = np.full((6, 3), 0.1)
    guessed = [0, 1, 1, 1, 2, 0]  # Truth is 0 0 1 1 2 2.
    scores[range(6), guessed] = 0.8
    saved = [
        {"pred_score": torch.tensor(score), "pred_label": torch.tensor([label])}
        | {"gt_label": torch.tensor([i // 2])}
        for i, (score, label) in enumerate(zip(scores, guessed, strict=True))
    ]
    (tmp_path / "out.pkl").write_bytes(pickle.dumps(saved))
    cfg = find_config("van_t_in1k")
    cfg.test_dataloader.dataset = Config(
        {
            "type": "CustomDataset",
            "data_root": str(tmp_path),
            "data_prefix": "val",
            "metainfo": {"classes": sorted(CLASSES)},
            "pipeline": cfg.test_dataloader.dataset.pipeline,
        }
    )._cfg_dict
    return open_tested(cfg, tmp_path / "out.pkl")


def test_classification(classification: Predicted) -> None:
    matrix, _, unit = confusion_matrix(classification, 0.3)
    assert (matrix.tolist(), unit) == ([[1, 1, 0], [0, 2, 0], [1, 0, 1]], "images")
    rows = {row[0]: row[1:] for row in per_class_section(classification).rows}
    assert rows["cow"] == pytest.approx((80, 200 / 3, 100, 2))
    section = worst_section(classification, 2, 0.3)
    assert [Path(row[1]).parts[-2:] for row in section.rows] == [("cat", "1.png"), ("dog", "1.png")]
    assert confusion_section(classification, 0.3).rows[0][2:] == (1, 0.5)


def test_segmentation(tmp_path: Path) -> None:
    truth = np.array([[1, 1, 2, 2], [0, 1, 2, 2]], np.uint8)  # 0 is unknown, the rest is shifted.
    predicted = np.array([[1, 1, 1, 2], [2, 1, 2, 2]], np.uint8)
    photo(tmp_path / "img" / "a.jpg", (4, 2))
    for folder, labels in (("ann", truth), ("out", predicted)):
        (tmp_path / folder).mkdir()
        Image.fromarray(labels).save(tmp_path / folder / "a.png")
    cfg = find_config("van_t_fpn")
    cfg.test_dataloader.dataset.update(
        type="BaseSegDataset",
        reduce_zero_label=True,
        data_root=str(tmp_path),
        data_prefix={"img_path": "img", "seg_map_path": "ann"},
        metainfo={"classes": ("road", "sky"), "palette": [(0, 0, 255), (255, 0, 0)]},
    )
    tested = open_tested(cfg, tmp_path / "out")
    assert confusion_matrix(tested, 0.3)[0].tolist() == [[3, 0], [1, 3]]
    rows = {row[0]: row[1:] for row in per_class_section(tested).rows}
    assert rows == {"road": pytest.approx((75, 100, 3)), "sky": pytest.approx((75, 75, 4))}
    assert worst_section(tested, 3, 0.3).rows[0][2] == pytest.approx(0.75)
