import re
import sys
from pathlib import Path

import pytest
from env_setup.pins import find_pin, package_name, read_project, select_pins, torchvision_for
from env_setup.shell import SetupError

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_a_python_that_can_read_no_toml_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("tomllib", "pip._vendor"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SetupError, match="apt-get install python3-pip"):
        read_project(PYPROJECT)


def test_every_pin_has_its_reason() -> None:
    text = PYPROJECT.read_text(encoding="utf-8")
    table = text.partition("\ndependencies = [")[2].partition("\n[project.urls]")[0]
    lines = [line for line in table.splitlines() if line.startswith('    "')]
    project = read_project(PYPROJECT)
    pinned = [project["dependencies"], *project["optional-dependencies"].values()]
    assert len(lines) == sum(map(len, pinned)) >= 25
    assert [line for line in lines if not re.search(r'",\s+# .{8,}\.$', line)] == []


@pytest.mark.parametrize("family", ("official", "onedl"))
def test_each_family_pins_every_framework_exactly(family: str) -> None:
    pins = read_project(PYPROJECT)["optional-dependencies"][family]
    frameworks = [pin for pin in pins if package_name(pin).removeprefix("onedl-").startswith("mm")]
    assert len(frameworks) == 5
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", pin) for pin in frameworks)


def test_package_names_are_normalised() -> None:
    assert package_name("Onedl_MMCV==2.3.6") == "onedl-mmcv"
    assert package_name("setuptools>=77,<82") == "setuptools"
    with pytest.raises(SetupError, match="==1"):
        package_name("==1")


def test_find_pin_names_what_is_there() -> None:
    assert find_pin(["mmdet==3.3.0", "mmcv==2.1.0"], "mmcv") == "mmcv==2.1.0"
    with pytest.raises(SetupError, match=r"no mmcv.*numpy<2"):
        find_pin(["numpy<2"], "mmcv")


def test_an_other_torch_brings_its_torchvision() -> None:
    project = read_project(PYPROJECT)
    assert select_pins(project, ["torch"], "torch==2.11.0")["torch"] == [
        "torch==2.11.0",
        "torchvision==0.26.*",
    ]
    assert "triton" in select_pins(project, ["dev"], "torch==2.14.1")["dev"]
    assert select_pins(project, ["torch"], None) == {
        "torch": project["optional-dependencies"]["torch"]
    }


def test_unknown_extra_names_the_known_ones() -> None:
    with pytest.raises(SetupError, match=r"'docz'.*official.*dev"):
        select_pins(read_project(PYPROJECT), ["docz"], None)


def test_torchvision_follows_torch() -> None:
    pinned = read_project(PYPROJECT)["optional-dependencies"]["torch"]
    release = find_pin(pinned, "torchvision").rpartition(".")[0]
    assert torchvision_for(find_pin(pinned, "torch")) == f"{release}.*"
    assert torchvision_for("torch==2.6.0+cu124") == "torchvision==0.21.*"
    assert torchvision_for("torch==2.14.1") == "torchvision>=0.29,<0.30"
    assert torchvision_for("torch==2.15.0") == "torchvision>=0.29,<0.31"
    with pytest.raises(SetupError, match=r"torch>=2.*torch==2\.13\.0"):
        torchvision_for("torch>=2")
