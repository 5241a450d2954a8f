import json
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmvan.inference.results import ResultFiles, best_classes, to_panoptic


def test_best_classes_are_in_order() -> None:
    best = best_classes(np.array([0.1, 0.6, 0.3]), ["a", "b", "c"], 2)
    assert [(each["class"], each["label"]) for each in best] == [("b", 1), ("c", 2)]
    assert [each["score"] for each in best] == [0.6, 0.3]


def test_detections_are_a_coco_dataset(tmp_path: Path) -> None:
    masks = torch.zeros(2, 10, 12, dtype=torch.bool)
    masks[0, 2:5, 1:9] = True
    sample = DetDataSample()
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 9.0, 5.0], [0.0, 0.0, 3.0, 3.0]]),
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.2]),
        masks=masks,
    )
    files = ResultFiles(tmp_path, {"classes": ("cat", "dog")}, threshold=0.3)
    files.add("one.jpg", sample, (10, 12))
    coco = COCO(str(files.close()))
    (found,) = coco.loadAnns(coco.getAnnIds())
    assert found["bbox"] == [1, 2, 8, 3]
    assert found["score"] == 0.9
    assert coco.loadCats(found["category_id"])[0]["name"] == "dog"
    assert coco.loadImgs(found["image_id"])[0] == {
        "id": 1,
        "file_name": "one.jpg",
        "height": 10,
        "width": 12,
    }
    assert np.array_equal(coco_mask.decode(found["segmentation"]), masks[0].numpy())
    assert found["area"] == 24


def test_classes_and_label_maps(tmp_path: Path) -> None:
    files = ResultFiles(tmp_path / "cls", {"classes": ("cat", "dog")}, 0.3)
    files.add("a.jpg", DataSample().set_pred_score(torch.tensor([0.25, 0.75])), (4, 4))
    (entry,) = json.loads(files.close().read_text())
    assert entry["image"] == "a.jpg"
    assert entry["predictions"][0] == {"label": 1, "class": "dog", "score": 0.75}

    labels = torch.arange(6).reshape(1, 2, 3) % 2
    sample = SegDataSample()
    sample.pred_sem_seg = PixelData(data=labels)
    files = ResultFiles(tmp_path / "seg", {"classes": ("road", "sky")}, 0.3)
    files.add("deep/a.jpg", sample, (2, 3))
    content = json.loads(files.close().read_text())
    with Image.open(tmp_path / "seg" / content["images"][0]["labels"]) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), labels[0].numpy())


def test_panoptic_segments_in_cocos_format() -> None:
    segments = np.array([[0, 0, 1001], [2, 2, 1]])  # Label 1 twice, of which 1001 is instance 1.
    pixels, infos = to_panoptic(segments, ["sky", "cat"], ["cat"])
    assert [(i["category_id"], i["area"], i["isthing"]) for i in infos] == [
        (1, 2, 0),
        (2, 1, 1),
        (2, 1, 1),
    ]
    ids = pixels.astype(int) @ [1, 256, 65536]
    assert ids.tolist() == [[1, 1, 3], [0, 0, 2]]
