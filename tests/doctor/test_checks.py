import sys

import pytest
import torch

from mmvan.doctor import checks
from mmvan.doctor.checks import make_checks
from mmvan.doctor.families import find_family
from mmvan.doctor.matrix import Check, run_check, working_tasks
from mmvan.ops.native import support


def find_check(component: str) -> Check:
    return next(check for check in make_checks() if check.component == component)


@pytest.mark.smoke
def test_everything_works_here() -> None:
    results = [run_check(check) for check in make_checks()]
    assert len(results) == 22
    needed = [r for r in results if r.level != "optional" and r.component != "GPUs"]
    assert [r for r in needed if r.status != "ok"] == []
    assert working_tasks(results) == ["classification", "detection", "segmentation"]


@pytest.mark.parametrize("level", ("required", "task"))
def test_every_part_that_matters_has_a_fix(level: str) -> None:
    found = [check for check in make_checks() if check.level == level]
    assert len(found) >= 6
    assert all(check.fix for check in found)


def block(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Makes the import of a module fail."""
    monkeypatch.setitem(sys.modules, module, None)


def test_mmcv_without_operators_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    block(monkeypatch, "mmcv.ops")
    assert run_check(find_check("mmcv")).status == "ok"
    outcome = run_check(find_check("mmcv operators"))
    assert outcome.status == "warn"
    assert "compiled against the installed torch" in outcome.fix


def test_operators_that_compute_nonsense_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import mmcv.ops

    monkeypatch.setattr(mmcv.ops, "nms", lambda *arguments: (None, torch.tensor([0, 1, 2])))
    assert "nms kept [0, 1, 2] on cpu" in run_check(find_check("mmcv operators")).detail


@pytest.mark.parametrize("module", ("torch", "numpy", "cv2", "mmengine", "mmcv"))
def test_without_a_required_part_nothing_works(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"numpy": "NumPy", "cv2": "OpenCV"}.get(module, module)
    block(monkeypatch, module)
    if module == "mmengine":
        block(monkeypatch, "mmengine.config")
    outcome = run_check(find_check(name))
    assert outcome.status == "fail"
    assert "ModuleNotFoundError" in outcome.detail
    assert outcome.fix


def test_mixed_families_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_family", lambda: "both")
    outcome = run_check(find_check("framework family"))
    assert outcome.status == "fail"
    assert "mixed" in outcome.detail
    assert "--family onedl" in outcome.fix


def test_two_releases_of_opencv_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"opencv-python": "4.11.0.86", "opencv-python-headless": "4.12.0.88"}
    monkeypatch.setattr(checks, "installed_version", lambda name: versions.get(name, ""))
    outcome = run_check(find_check("OpenCV"))
    assert outcome.status == "warn"
    assert "opencv-python 4.11.0.86 and opencv-python-headless 4.12.0.88" in outcome.detail
    assert "pip uninstall -y opencv-python opencv-python-headless" in outcome.fix


def test_transformers_that_is_too_new_for_mmpretrain_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mmpretrain.models", None)
    monkeypatch.setattr(checks, "installed_version", lambda name: "4.57.1")
    outcome = run_check(find_check("mmpretrain"))
    assert outcome.status == "warn"
    assert "beside transformers 4.57.1" in outcome.detail
    assert "pip install 'transformers<4.50'" in outcome.detail


def test_an_unknown_python_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    check = find_check("Python")
    newest = "3.12" if find_family() == "official" else "3.14"
    monkeypatch.setattr(sys, "version_info", (3, 15, 0))
    assert f"outside 3.10 to {newest}," in run_check(check).detail


@pytest.mark.parametrize(
    ("cuda", "detail"), ((None, "built without CUDA"), ("13.0", "reaches no GPU"))
)
def test_a_gpu_that_torch_does_not_see_is_a_warning(
    cuda: str | None, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    outcome = run_check(find_check("GPUs"))
    assert outcome.status == "warn"
    assert detail in outcome.detail
    assert outcome.fix


def test_a_backbone_that_breaks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmvan.models import VAN

    monkeypatch.setattr(VAN, "forward", lambda self, x: (x,))
    outcome = run_check(find_check("mmvan.VAN"))
    assert outcome.status == "fail"
    assert "[32] instead of [8, 4, 2, 1]" in outcome.detail


def test_without_a_c_compiler_there_are_slower_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "_build_fault", lambda: "no C compiler: looked for cc")
    outcome = run_check(find_check("VAN in C"))
    assert outcome.status == "warn"
    assert "no C compiler" in outcome.detail
    assert "install a C compiler" in outcome.fix
