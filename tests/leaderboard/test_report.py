import pytest

from mmvan.leaderboard.evaluate import Record
from mmvan.leaderboard.plan import Evaluation, Target
from mmvan.leaderboard.report import Outcome, Row, compare, make_table, summarise
from tests.leaderboard.test_plan import model


def row(ours: float, *, published: float = 40.2, subset: bool = False, problem: str = "") -> Row:
    evaluation = Evaluation(model(), multi_scale=False, targets=(Target("box AP", published, "p"),))
    record = Record("key", {"coco/bbox_mAP": ours}, "van.pth", "0123456789", 1.5)
    outcome = Outcome(evaluation, None if problem else record, problem)
    (found,) = compare([outcome], 0.1, subset=subset)
    return found


@pytest.mark.parametrize(
    ("ours", "verdict"),
    ((0.402, "within"), (0.403, "within"), (0.401, "within"), (0.404, "OUT OF TOLERANCE")),
)
def test_scores_are_compared_in_per_cent(ours: float, verdict: str) -> None:
    found = row(ours)
    assert found.ours == pytest.approx(100 * ours)
    assert found.verdict == verdict


def test_a_subset_is_never_compared() -> None:
    assert row(0.402, subset=True).verdict == "subset"


def test_failures_and_missing_weights_are_rows() -> None:
    evaluation = Evaluation(model(), multi_scale=True, targets=(Target("mIoU", 1.0, "paper"),))
    (untrained,) = compare([Outcome(evaluation, None)], 0.1, subset=False)
    rows = [row(0.402), row(0, problem="no file"), untrained]
    table = make_table(rows)
    assert [line[-1] for line in table[1:]] == [
        "",
        "no file",
        "no public weights: tools/dist_train.sh configs/segmentation/van_x_fpn.py 8",
    ]
    assert table[3][1] == "multi-scale + flip"
    assert summarise(rows) == "1 within, 0 OUT OF TOLERANCE, 1 FAILED, 0 subset, 1 train"


def test_a_metric_that_was_not_measured_is_a_failure() -> None:
    evaluation = Evaluation(model(), multi_scale=False, targets=(Target("PQ", 1.0, "paper"),))
    record = Record("key", {"coco/bbox_mAP": 0.4}, "van.pth", "0123", 1.5)
    (found,) = compare([Outcome(evaluation, record)], 0.1, subset=False)
    assert found.verdict == "FAILED"
    assert "the evaluator gave no coco_panoptic/PQ" in make_table([found])[1]
