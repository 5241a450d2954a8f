"""The command: every suite on tiny sizes, and what it refuses."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import backends
import loading
import pytest
import run
import scaling
from breakdown import KINDS, LIMIT, TOTAL
from goals import is_right
from report import SECTIONS
from startup import METRICS
from table import Table, read_table

from mmvan.errors import ConfigError

EXPORTED = ("ONNX Runtime", "ONNX Runtime int8", "OpenVINO", "OpenVINO default", "OpenVINO int8")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
    # `--device cpu` hides the GPUs of its process, which other tests live in too.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    run.main()


def quick(
    suite: str, out: Path, monkeypatch: pytest.MonkeyPatch, only: Sequence[str] = ()
) -> Table:
    options = ("--quick", "--device", "cpu", "--threads", "1", "--out", out)
    command(monkeypatch, suite, *options, *(("--only", *only) if only else ()))
    return read_table(out / f"{suite}_cpu.csv")


@pytest.mark.slow
def test_inference_has_every_form_that_needs_no_compiler_with_its_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = ("*eager", "*last", "*Runtime*", "*OpenVINO*")
    table = quick("inference", tmp_path, monkeypatch, only)
    van = [row for row in table.rows if row.arch == "quick"]
    expected = {f"{net} {name}" for net in ("mmpretrain", "folded") for name in EXPORTED}
    for net in ("mmpretrain", "ours", "folded"):
        expected |= {f"{net} eager", f"{net} channels_last"}
    assert {row.form for row in van} == expected
    assert len(van) == len(expected) == 16
    assert [row for row in van if not is_right(row)] == []
    assert all(row.difference for row in van if row.dtype != "float32")
    others = [row for row in table.rows if row.arch == "ResNet-50"]
    assert [(row.metric, row.median) for row in others if row.unit == "%"] == [
        ("published top-1", 76.55)
    ]
    assert len(others) == 5


@pytest.mark.slow
def test_the_breakdown_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = quick("breakdown", tmp_path, monkeypatch).rows
    assert len(rows) == 2 * (len(KINDS) + 1) + 1
    for form in ("folded OpenVINO", "folded OpenVINO int8"):
        times = {row.metric: row.median for row in rows if row.form == form}
        assert all(times[kind] > 0 for kind in KINDS)
        assert sum(times[kind] for kind in KINDS) == pytest.approx(times[TOTAL])
    (limit,) = (row for row in rows if row.form == LIMIT)
    assert limit.median > 0


@pytest.mark.slow
def test_training_ends_with_the_same_loss_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = ("*eager", "*last", "*fused", "*lean", "*with_cp")
    rows = quick("training", tmp_path, monkeypatch, only).rows
    assert len(rows) == 8
    assert [row for row in rows if row.difference is None or row.difference > 1e-5] == []


@pytest.mark.slow
def test_every_backend_of_a_cpu_runs_whole_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = quick("backends", tmp_path, monkeypatch).rows
    assert [(row.layout, row.metric, row.form) for row in rows] == [
        (layout, metric, form)
        for layout in backends.LAYOUTS
        for metric in (backends.INFERENCE, backends.TRAINING)
        for form in ("torch", "phase_split", "native")
    ]
    assert [row for row in rows if row.difference is None or row.difference > 1e-5] == []


@pytest.mark.slow
def test_checkpointing_keeps_less_in_every_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = quick("memory", tmp_path, monkeypatch).rows
    sizes = {(row.metric, row.form.removeprefix("ours ")): row.median for row in rows}
    assert len(rows) == len(sizes) == 12
    for metric in ("kept for backward", "peak of a step"):
        plain, lean, block = (
            sizes[metric, f"channels_last{kind}"] for kind in ("", " lean", " with_cp")
        )
        assert 0 < block < lean < plain


@pytest.mark.slow
def test_the_start_is_measured_in_fresh_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = quick("startup", tmp_path, monkeypatch).rows
    assert [(row.metric, row.form) for row in rows] == [
        (metric, form) for metric in METRICS for form in ("mmpretrain", "mmvan")
    ]
    assert all(row.median > 0 for row in rows)


def test_loading_is_measured_beside_mmpretrains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = quick("loading", tmp_path, monkeypatch).rows
    assert [(row.metric, row.form) for row in rows] == [
        *(("build", form) for form in loading.FORMS[:2]),
        *(("load_state_dict", form) for form in loading.FORMS),
    ]
    assert all(row.median > 0 for row in rows)


def test_operators_agree_in_every_backend_layout_and_dtype(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = quick("ops", tmp_path, monkeypatch).rows
    cases = {(row.arch, row.dtype, row.layout, row.metric) for row in rows}
    # The dilated convolution in two dtypes, the others in one; two layouts and two metrics each.
    assert len(cases) == (2 + 1 + 1) * 2 * 2
    assert {row.form for row in rows} >= {"torch", "phase_split"}
    assert [row for row in rows if not is_right(row)] == []


def test_every_size_goes_through_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "keep_freed_memory", lambda: True)  # It would bind this process.
    rows = quick("scaling", tmp_path, monkeypatch).rows
    assert [(row.size, row.form) for row in rows] == [
        (size, form)
        for size in (32, 64)
        for form in ("mmpretrain eager", "ours channels_last", "folded channels_last")
    ]
    assert [row for row in rows if not is_right(row)] == []


@pytest.mark.parametrize("option", (("--quick",), ("--only", "torch")))
def test_a_part_does_not_replace_the_whole_table(
    option: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"name another folder by --out"):
        command(monkeypatch, "ops", *option)


def test_all_runs_each_suite_in_a_process_and_names_those_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def start(arguments: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        started.append(arguments)
        return subprocess.CompletedProcess(arguments, returncode=int("memory" in arguments))

    monkeypatch.setattr(run.subprocess, "run", start)
    with pytest.raises(SystemExit, match=r"^failed: memory$"):
        command(monkeypatch, "all", "--quick", "--out", tmp_path)
    assert [arguments[2] for arguments in started] == [*run.SUITES]
    assert set(run.SUITES) == set(SECTIONS)
    assert all(arguments[3:] == ["--quick", "--out", str(tmp_path)] for arguments in started)


def test_zero_threads_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command(monkeypatch, "ops", "--threads", "0")
    assert "--threads: must be 1 or more, got 0" in capsys.readouterr().err
