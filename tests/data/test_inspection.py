"""What the steps that inspect a sample refuse, and with which words."""

from typing import Any

import numpy as np
import pytest

from mmvan.data import inspection
from mmvan.data.faults import BadSampleError
from mmvan.data.inspection import InspectInstances

SIZE = (32, 48)
POLYGON = [[4, 4, 30, 4, 30, 24]]
THING = {"bbox": [4, 4, 30, 24], "bbox_label": 1, "mask": POLYGON}


def kind_of(results: dict[str, Any], classes: int | None = 3, masks: bool = True) -> str:
    try:
        InspectInstances(classes, masks)({"img_path": "a.jpg", "ori_shape": SIZE, **results})
    except BadSampleError as error:
        return f"{error.fault.kind}: {error.fault.reason}"
    return ""


@pytest.mark.parametrize(
    ("change", "kind"),
    (
        ({}, ""),
        ({"bbox": (4, 4, 30, 24)}, ""),
        ({"bbox": np.array([4, 4, 30, 24])}, ""),
        ({"bbox": [40, 20, 100, 100]}, ""),  # clipped
        ({"bbox": [60, 4, 70, 24]}, "box"),
        ({"bbox": [4, 4, 30]}, "box"),
        ({"bbox": ["4", None, 30, 24]}, "box"),
        ({"bbox": "text"}, "box"),
        ({"bbox": 7}, "box"),
        ({"bbox": [4, 4, 10**400, 24]}, "box"),
        ({"bbox_label": 3}, "label"),
        ({"bbox_label": -1}, "label"),
        ({"bbox_label": 1.5}, "label"),
        ({"bbox_label": "1"}, "label"),
        ({"mask": None}, "mask: no segmentation"),
        ({"mask": 5}, "mask"),
        ({"mask": "text"}, "mask"),
        ({"mask": {"size": list(SIZE), "counts": "o"}}, "mask: no run lengths"),
        ({"mask": {"size": list(SIZE), "counts": [32 * 48]}}, ""),
    ),
)
def test_objects(change: dict[str, Any], kind: str) -> None:
    found = kind_of({"instances": [THING, {**THING, **change}]})
    assert found.replace("instances[1]: ", "").startswith(kind)
    assert bool(found) == bool(kind) == ("instances[1]" in found)


def test_good_objects_are_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    real = inspection.is_polygons
    monkeypatch.setattr(inspection, "is_polygons", lambda *a: (looked.append(a), real(*a))[1])
    step = InspectInstances(3)
    bad = {**THING, "mask": [[1, 2]]}

    def inspect(index: int | None, told: tuple[int, int] | None, thing: dict[str, Any]) -> int:
        height, width = told or (None, None)
        results = {"ori_shape": SIZE, "height": height, "width": width, "instances": [thing]}
        before = len(looked)
        step(results if index is None else {**results, "sample_idx": index})
        return len(looked) - before

    assert [inspect(7, SIZE, THING) for _ in range(3)] == [1, 0, 0]
    assert [inspect(2, SIZE, THING) for _ in range(2)] == [1, 0]
    assert [inspect(1, None, THING) for _ in range(2)] == [1, 1]  # of any size
    assert [inspect(None, SIZE, THING) for _ in range(2)] == [1, 1]
    for _ in range(2):
        with pytest.raises(BadSampleError, match="a polygon"):
            inspect(3, SIZE, bad)
    with pytest.raises(BadSampleError, match="the annotations say 9 x 9"):
        inspect(7, (9, 9), THING)


def test_masks_that_are_not_loaded_need_not_be_there() -> None:
    things = {"instances": [{"bbox": [4, 4, 30, 24], "bbox_label": 1}]}
    assert kind_of(things, masks=False) == ""
    assert kind_of({**things, "segments_info": []}) == ""  # panoptic ones are in a PNG


@pytest.mark.parametrize(
    ("label", "expected"),
    (
        (0, True),
        (2, True),
        (np.int64(2), True),
        ([], True),
        ([0, 2], True),
        (np.array([1]), True),
        (3, False),
        (-1, False),
        ([0, 3], False),
        (1.0, False),
        ("1", False),
        ([[0], [1, 2]], False),
    ),
)
def test_labels_of_images(label: Any, expected: bool) -> None:
    found = kind_of({"gt_label": label})
    assert (found == "") is expected
    assert expected or found.startswith("label: gt_label")


def test_labels_without_a_number_of_classes() -> None:
    assert kind_of({"gt_label": 7}, classes=None) == ""
    assert kind_of({"gt_label": -7}, classes=None).startswith("label")
