import json
import subprocess
import sys

import pytest

from mmvan.doctor import __main__ as command
from mmvan.doctor.matrix import Check, Finding


def broken() -> Finding:
    raise ImportError("libcudart.so.13: cannot open shared object file")


def use(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(command, "make_checks", lambda: list(checks))


WORKING = Check("mmdet", lambda: Finding("RoI extractor"), "task")


def test_exit_status_is_0_if_a_task_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, WORKING, Check("mmseg", broken, "task", fix="install mmseg"))
    assert command.main([]) == 0
    output = capsys.readouterr().out
    assert "no segmentation: ImportError: libcudart" in output
    assert "fix: install mmseg" in output
    assert output.endswith("Training works: detection.\n")


def test_exit_status_is_1_if_a_required_part_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, WORKING, Check("torch", broken, "required", fix="install torch"))
    assert command.main([]) == 1
    assert "Training cannot work" in capsys.readouterr().out


def test_json_has_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Check("torch", broken, "required", fix="install torch"))
    assert command.main(["--json"]) == 1
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["works"], outcome["tasks"]) == (False, [])
    assert outcome["checks"] == [
        {
            "component": "torch",
            "version": "",
            "status": "fail",
            "detail": "ImportError: libcudart.so.13: cannot open shared object file",
            "fix": "install torch",
            "level": "required",
        }
    ]


@pytest.mark.smoke
def test_the_real_command() -> None:
    command_line = [sys.executable, "-m", "mmvan.doctor", "--json"]
    result = subprocess.run(command_line, capture_output=True, text=True, check=False)
    outcome = json.loads(result.stdout)
    assert result.returncode == 0
    assert outcome["works"] is True
    assert outcome["family"] in ("official", "onedl")


@pytest.mark.parametrize("missing", ("mmengine", "torch"))
def test_the_command_starts_and_says_what_is_missing(missing: str) -> None:
    script = f"import runpy, sys; sys.modules[{missing!r}] = None; sys.argv = ['doctor']; "
    script += "runpy.run_module('mmvan.doctor', run_name='__main__')"
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert outcome.returncode == 1
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith(missing + " ")]
    assert "fail" in line
    assert "Training cannot work" in outcome.stdout
