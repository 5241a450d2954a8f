from mmvan.errors import did_you_mean


def test_did_you_mean_names_only_close_candidates() -> None:
    assert did_you_mean("backbon", ["backbone", "neck"]) == " Did you mean backbone?"
    assert did_you_mean("backbon", ["neck"]) == ""
