import math

import pytest

from mmvan.analysis.logs import logs_section, smooth
from mmvan.errors import DataError


def test_smoothing_has_no_pull_of_its_start() -> None:
    assert smooth([(1, 4.0), (2, 4.0)], 0.9) == [(1, pytest.approx(4)), (2, pytest.approx(4))]
    (_, (_, second)) = smooth([(1, 0.0), (2, 3.0)], 0.5)
    assert second == pytest.approx(2)  # (0.25 x 0 + 0.5 x 3) / 0.75
    assert smooth([(1, 1.0), (2, math.nan)], 0.5)[1] == (2, 1.0)
    assert smooth([(1, 1.0), (2, 5.0)], 0.0) == [(1, 1.0), (2, 5.0)]


def test_runs_beside_each_other() -> None:
    runs = {"a": {"loss": [(1, 2.0)], "coco/bbox_mAP": [(1, 0.5)]}, "b": {"loss": [(1, 3.0)]}}
    section = logs_section(runs, 0.6)
    assert section.full is not None
    assert ("b", "loss", 1, 3.0) in section.full[1]
    assert section.rows[0] == ("a", "loss", 1, 2.0, 2.0, 2.0)
    ((_, figure),) = section.figures
    assert [axes.get_title() for axes in figure.axes[:2]] == ["loss", "coco/bbox_mAP"]
    with pytest.raises(DataError, match="--keys lss: not logged; there are loss, coco/bbox_mAP"):
        logs_section(runs, 0.6, ["lss"])
