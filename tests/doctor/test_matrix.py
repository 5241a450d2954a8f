import pytest

from mmvan.doctor.matrix import (
    Check,
    Finding,
    Result,
    report,
    run_check,
    show_table,
    working_tasks,
)


def fail() -> Finding:
    raise RuntimeError("\n  operator nms is missing\nsecond line")


def absent() -> Finding:
    raise ModuleNotFoundError("No module named 'triton'")


def noisy() -> Finding:
    print("noise")
    return Finding("fine")


def result(component: str, status: str, fix: str = "") -> Result:
    return Result(component, "1.0", status, "detail", fix, "task")


@pytest.mark.parametrize(
    ("level", "status"), (("required", "fail"), ("task", "warn"), ("optional", "warn"))
)
def test_a_failure_weighs_as_its_level_says(level: str, status: str) -> None:
    outcome = run_check(Check("part", fail, level, fix="fix it"))
    assert outcome.status == status
    assert outcome.detail == "RuntimeError: operator nms is missing"
    assert outcome.fix == "fix it"


def test_an_optional_part_may_be_absent() -> None:
    assert run_check(Check("triton", absent, "optional", "no-such-package")).status == "absent"
    assert run_check(Check("triton", absent, "required", "no-such-package")).status == "fail"


def test_a_broken_optional_part_is_not_absent() -> None:
    assert run_check(Check("pip", absent, "optional", "pip")).status == "warn"


def test_a_missing_task_library_says_what_it_costs() -> None:
    outcome = run_check(Check("mmdet", absent, "task"))
    assert outcome.status == "warn"
    assert outcome.detail.startswith("no detection: ModuleNotFoundError")


def test_a_warning_carries_its_own_fix() -> None:
    check = Check("NumPy", lambda: Finding("", "too new", "install 1.26"), "required", fix="other")
    outcome = run_check(check)
    assert (outcome.status, outcome.detail, outcome.fix) == ("warn", "too new", "install 1.26")


def test_what_a_check_prints_is_kept_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check(Check("part", noisy, "task")).status == "ok"
    assert capsys.readouterr().out == ""


def test_training_works_with_one_task_and_all_required_parts() -> None:
    libraries = [result("mmpretrain", "warn"), result("mmdet", "ok"), result("mmseg", "warn")]
    assert working_tasks(libraries) == ["detection"]
    assert working_tasks([*libraries, result("torch", "fail")]) == []
    assert working_tasks([result("mmdet", "warn")]) == []
    assert report(libraries)["works"] is True
    assert report([result("mmdet", "warn")])["works"] is False


def test_table_shows_each_fix_under_its_part() -> None:
    lines = show_table([result("torch", "ok"), result("mmcv", "fail", "build it")]).splitlines()
    assert [line.split()[0] for line in lines] == ["component", "torch", "mmcv", "fix:"]
    assert lines[3].strip() == "fix: build it"
    assert lines[0].index("detail") == lines[3].index("fix:")


def test_table_does_not_urge_to_install_optional_parts() -> None:
    assert "fix" not in show_table([result("triton", "absent", "pip install triton")])
