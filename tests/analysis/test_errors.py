import numpy as np
import pytest

from mmvan.analysis.confusion import match_any_class
from mmvan.analysis.errors import find_errors
from mmvan.analysis.sources import Boxes

CAT, DOG = 0, 1


def boxes(*found: tuple[list[float], int, float], ignored: tuple[int, ...] = ()) -> Boxes:
    """Boxes as (x1, y1, x2, y2), label and score."""
    flags = np.array([i in ignored for i in range(len(found))], bool)
    return Boxes(
        np.array([each[0] for each in found], float).reshape(-1, 4),
        np.array([each[1] for each in found], int),
        np.array([each[2] for each in found], float),
        flags,
    )


TRUTH = boxes(([0, 0, 10, 10], CAT, 1), ([20, 0, 30, 10], DOG, 1))


@pytest.mark.parametrize(
    ("box", "label", "kind", "missed"),
    (
        ([0, 0, 10, 9], CAT, "correct", [1]),
        ([0, 0, 10, 9], DOG, "wrong class", [1]),
        ([0, 0, 10, 4], CAT, "poor box", [1]),  # IoU 0.4
        ([0, 0, 10, 4], DOG, "wrong class, poor box", [0, 1]),
        ([50, 50, 60, 60], CAT, "background", [0, 1]),
        ([0, 0, 10, 0.9], CAT, "background", [0, 1]),  # IoU 0.09
    ),
)
def test_one_box(box: list[float], label: int, kind: str, missed: list[int]) -> None:
    found = find_errors(boxes((box, label, 0.9)), TRUTH, 0.3)
    assert (found.kinds, found.missed) == ([kind], missed)


def test_the_box_of_the_lower_score_is_the_duplicate() -> None:
    found = find_errors(
        boxes(([0, 0, 10, 9], CAT, 0.5), ([0, 0, 10, 8], CAT, 0.9), ([0, 0, 9, 9], CAT, 0.1)),
        TRUTH,
        0.3,
    )
    assert found.kinds == ["correct", "duplicate"]  # In the order of the scores.
    assert found.missed == [1]


def test_ignored_regions_count_for_nothing() -> None:
    truth = boxes(([0, 0, 100, 100], CAT, 1), ignored=(0,))
    found = find_errors(boxes(([10, 10, 20, 20], CAT, 0.9), ([10, 10, 20, 20], DOG, 0.8)), truth, 0)
    assert found.kinds == ["ignored", "background"]
    assert found.missed == []


def test_no_box_and_no_object() -> None:
    assert find_errors(boxes(), TRUTH, 0.3).missed == [0, 1]
    assert find_errors(boxes(([0, 0, 1, 1], CAT, 0.9)), boxes(), 0.3).kinds == ["background"]


def test_confusion_matches_whatever_the_class() -> None:
    found = boxes(([0, 0, 10, 9], DOG, 0.9), ([50, 50, 60, 60], CAT, 0.8))
    assert sorted(match_any_class(found, TRUTH, 0.3, 2)) == [(CAT, DOG), (DOG, 2), (2, CAT)]
