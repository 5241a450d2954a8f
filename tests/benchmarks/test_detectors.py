"""The row of the table has the worst difference and the median time."""

from detectors import COLUMNS, row

from mmvan.deploy.detections import Agreement


def test_a_row_has_the_worst_difference_and_the_median_times() -> None:
    found = [
        Agreement(0.25, 1e-6, 0.0, 4, 4, (0.5, 0.25)),
        Agreement(0.5, 3e-6, 0.01, 4, 6, (8.0, 0.2)),
        Agreement(0.0, 0.0, 0.0, 0, 0, (0.4, 9.0)),
    ]
    values = row("van_t", found)
    assert values[:7] == ("van_t", "3", "10", "80.00%", "0.5", "3.0e-06", "1.00%")
    assert values[7:] == ("2.00", "4.00", "2.00")
    assert len(values) == len(COLUMNS)


def test_a_detector_without_masks_has_none() -> None:
    assert row("van_t", [Agreement(0.1, 1e-6, 0.0, 2, 2, (1.0, 0.5))])[6] == "-"
