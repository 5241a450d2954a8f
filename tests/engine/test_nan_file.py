"""What the frameworks put into a batch survives a file that safe loading reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmvan.engine.nan_file import (
    Reproducer,
    from_plain,
    read_reproducer,
    to_plain,
    write_reproducer,
)
from mmvan.errors import CheckpointError, DataError


def through_a_file(batch: Any, tmp_path: Path) -> Any:
    reproducer = Reproducer({"model": {"type": nn_type()}}, {}, [(batch, {})], None, 1.0, "why")
    file = tmp_path / "nan_1.pth"
    write_reproducer(file, reproducer)
    read = read_reproducer(file)
    assert read.config == {"model": {"type": "torch.nn.modules.linear.Linear"}}
    assert (read.precision, read.scale, read.message) == (None, 1.0, "why")
    return from_plain(read.batches[0][0])


def nn_type() -> type:
    return torch.nn.Linear


def test_detection(tmp_path: Path) -> None:
    sample = DetDataSample(
        metainfo={"img_path": "a.jpg", "img_shape": (8, 6), "scale": np.int64(2)}
    )
    boxes = HorizontalBoxes(torch.tensor([[0.0, 1.0, 3.0, 4.0]]))
    masks = BitmapMasks(np.ones((1, 8, 6), dtype=np.uint8), 8, 6)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1]), masks=masks)
    polygons = PolygonMasks([[np.array([0.0, 0, 1, 0, 1, 1])]], 8, 6)
    sample.ignored_instances = InstanceData(masks=polygons)
    found = through_a_file({"inputs": [torch.ones(3, 8, 6)], "data_samples": [sample]}, tmp_path)
    (read,) = found["data_samples"]
    assert type(read) is DetDataSample
    assert read.metainfo == {"img_path": "a.jpg", "img_shape": (8, 6), "scale": 2}
    assert type(read.gt_instances.bboxes) is HorizontalBoxes
    assert torch.equal(read.gt_instances.bboxes.tensor, boxes.tensor)
    assert np.array_equal(read.gt_instances.masks.masks, masks.masks)
    assert np.array_equal(read.ignored_instances.masks.masks[0][0], polygons.masks[0][0])


def test_classification_and_segmentation(tmp_path: Path) -> None:
    labelled = DataSample(metainfo={"img_path": "a.jpg"}).set_gt_label(3)
    mapped = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 4, 4)))
    first, second = through_a_file([labelled, mapped], tmp_path)
    assert type(first) is DataSample
    assert torch.equal(first.gt_label, labelled.gt_label)
    assert type(second) is SegDataSample
    assert torch.equal(second.gt_sem_seg.data, mapped.gt_sem_seg.data)


def test_what_is_no_plain_value_is_named() -> None:
    with pytest.raises(DataError, match=r"batches\[0\]\.points is a set, which is neither"):
        to_plain([{"points": {1, 2}}], "batches")


def test_a_class_that_nobody_imported_is_refused() -> None:
    parts = {"__kind__": "element", "class": ["antigravity", "Flight"], "fields": {}, "meta": {}}
    with pytest.raises(CheckpointError, match=r"holds a antigravity\.Flight, which the model"):
        from_plain(parts)


@pytest.mark.parametrize("content", (b"", b"nonsense", None))
def test_other_files_are_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "nan_1.pth"
    if content is None:
        torch.save({"state_dict": {}}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"nan_1\.pth cannot be read as what mmvan\.NaNGuard"):
        read_reproducer(file)
