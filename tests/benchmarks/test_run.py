"""The command: every suite on tiny sizes, and what it refuses."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import backends
import loading
import pytest
import run
import scaling
from breakdown import KINDS, LIMIT, TOTAL
from goals import is_right
from instructions import AVX2, SWITCHES, table_device
from report import SECTIONS
from settings import Settings
from startup import METRICS
from table import Measurement, Table, read_table

from mmvan.errors import ConfigError

DEVICE = table_device("cpu")
ROW = Measurement("ops", "a", "b0", 1, 8, "torch", "float32", "own", "time", "ms", 2, 1, 3, 9)
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
    return read_table(out / f"{suite}_{DEVICE}.csv")


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

    def start(arguments: list[str]) -> int:
        started.append(arguments)
        return int("memory" in arguments)

    monkeypatch.setattr(run, "_run", start)
    with pytest.raises(SystemExit, match=r"^failed: memory$"):
        command(monkeypatch, "all", "--quick", "--out", tmp_path)
    assert [arguments[2] for arguments in started] == [*run.SUITES]
    assert set(run.SUITES) == set(SECTIONS)
    assert all(
        arguments[3:-1] == ["--quick", "--out", str(tmp_path), "--minutes"] for arguments in started
    )
    # Of 15 minutes each has its share, and what those before it left.
    shares = [float(arguments[-1]) for arguments in started]
    assert shares[0] == pytest.approx(15 * 3 / 25, rel=0.1)
    assert shares[-1] == pytest.approx(15, rel=0.1)


def test_all_reports_what_there_is_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def start(arguments: list[str]) -> int:
        started.append(arguments[2])
        return run.STOPPED if arguments[2] == "inference" else 0

    reported: list[Path] = []
    monkeypatch.setattr(run, "_run", start)
    monkeypatch.setattr(run, "run_report", lambda options: reported.append(options.out))
    with pytest.raises(SystemExit, match=r"^130$"):
        command(monkeypatch, "all", "--quick", "--out", tmp_path)
    assert started == ["ops", "inference"]
    assert reported == [tmp_path]


def stopping(settings: Settings) -> Iterator[list[Measurement]]:
    yield [ROW]
    raise KeyboardInterrupt


def late(settings: Settings) -> Iterator[list[Measurement]]:
    yield [ROW]
    settings.left_out.append("another case")


def whole(settings: Settings) -> Iterator[list[Measurement]]:
    yield [ROW]
    yield [ROW]


def run_ops(measure: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "import_module", lambda _: SimpleNamespace(measure=measure))
    command(monkeypatch, "ops", "--device", "cpu", "--threads", "1", "--out", out)


def test_a_part_is_kept_beside_the_whole_table_until_there_is_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, part = (tmp_path / f"ops_{DEVICE}{kind}.csv" for kind in ("", ".partial"))
    table.write_text("of another day")
    with pytest.raises(SystemExit, match=f"^{run.STOPPED}$"):
        run_ops(stopping, tmp_path, monkeypatch)
    assert read_table(part).rows == [ROW]
    assert read_table(part).is_partial
    assert "ops: stopped; a part of the table: 1 rows" in capsys.readouterr().out
    run_ops(late, tmp_path, monkeypatch)
    assert "ops: a part of the table, without another case: 1 rows" in capsys.readouterr().out
    assert table.read_text() == "of another day"
    run_ops(whole, tmp_path, monkeypatch)
    assert not part.exists()
    assert len(read_table(table).rows) == 2
    assert not read_table(table).is_partial


@pytest.mark.slow
def test_a_signal_keeps_the_cases_that_are_done(tmp_path: Path) -> None:
    options = ("--quick", "--repeats", "20", "--device", "cpu", "--threads", "1", "--out", tmp_path)
    process = subprocess.Popen(
        [sys.executable, run.__file__, "ops", *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(run.__file__).parents[1])},
    )
    assert process.stderr
    told = next(line for line in process.stderr if " (2 of " in line)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert (process.returncode, told.split(",")[0]) == (
        run.STOPPED,
        "  dilated depthwise 7x7 of 1x16x9x10",
    )
    rows = read_table(tmp_path / f"ops_{DEVICE}.partial.csv").rows
    assert {(row.layout, row.dtype) for row in rows} == {("contiguous", "float32")}
    assert not (tmp_path / f"ops_{DEVICE}.csv").exists()


def test_a_suite_is_told_to_stop_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Process:
        def __init__(self, command: list[str], start_new_session: bool) -> None:
            assert start_new_session

        def wait(self) -> int:
            calls.append("wait")
            if len(calls) == 1:
                raise KeyboardInterrupt
            return 1

        def terminate(self) -> None:
            calls.append("terminate")

    monkeypatch.setattr(run.subprocess, "Popen", Process)
    assert run._run(["a command"]) == run.STOPPED
    assert calls == ["wait", "terminate", "wait"]


def test_avx2_is_emulated_in_a_process_that_starts_with_the_switches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def replace_process(file: str, arguments: list[str], environment: dict[str, str]) -> None:
        started.append((arguments, environment))
        raise SystemExit

    monkeypatch.setattr(run.os, "execve", replace_process)
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit):
        command(monkeypatch, "training", "--isa", "avx2", "--out", tmp_path)
    ((arguments, environment),) = started
    assert arguments[2:] == ["training", "--isa", "avx2", "--out", str(tmp_path)]
    assert environment.items() >= SWITCHES.items()


def test_avx2_is_not_emulated_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--isa", "avx2", "--device", "cuda", "--out", tmp_path)
    with pytest.raises(ConfigError, match=r"--isa avx2 limits the CPU"):
        command(monkeypatch, "ops", *options)


@pytest.mark.slow
def test_with_avx2_alone_the_forms_that_no_switch_limits_are_left_out(tmp_path: Path) -> None:
    options = ("--isa", "avx2", "--quick", "--threads", "1", "--out", tmp_path)
    done = subprocess.run(
        [sys.executable, run.__file__, "ops", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(run.__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = read_table(tmp_path / f"ops_{AVX2}.csv")
    if table.conditions.machine.startswith("AVX2 emulated on "):
        assert {row.form for row in table.rows} == {"torch", "phase_split"}
    assert [row for row in table.rows if not is_right(row)] == []


@pytest.mark.parametrize("minutes", ("0", "-1", "nan"))
def test_no_time_at_all_is_refused(
    minutes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command(monkeypatch, "all", f"--minutes={minutes}")
    assert f"--minutes: must be more than 0, got {minutes}" in capsys.readouterr().err


def test_zero_threads_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command(monkeypatch, "ops", "--threads", "0")
    assert "--threads: must be 1 or more, got 0" in capsys.readouterr().err
